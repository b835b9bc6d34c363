"""What became of earlier requests: the answer to txn-status."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import asyncpg
import msgspec
from msgspec import Meta

from processing.exchange.dci.codes import ErrorCode
from processing.exchange.dci.envelope import IDENTIFIER_LENGTH_MAX, Refused
from processing.exchange.dci.model import Peer, TxnType
from processing.exchange.dci.store import DciWork

REFERENCES_MAX: Final = 100
"""Most reference ids that one question names."""

_Id = Annotated[str, Meta(min_length=1, max_length=IDENTIFIER_LENGTH_MAX, pattern=r"^[^\0]*$")]


class AttributeType(StrEnum):
    """By what earlier requests are named."""

    TRANSACTION_ID = "transaction_id"
    REFERENCE_ID_LIST = "reference_id_list"
    CORRELATION_ID = "correlation_id"


class _Question(msgspec.Struct, frozen=True):
    reference_id: _Id
    txn_type: TxnType
    attribute_type: AttributeType
    attribute_value: _Id | Annotated[list[_Id], Meta(min_length=1, max_length=REFERENCES_MAX)]
    locale: Any = None


class TxnStatus(msgspec.Struct, frozen=True):
    """The message of a txn-status."""

    transaction_id: _Id
    txnstatus_request: _Question


async def status_reply(work: DciWork, peer: Peer, asked: TxnStatus) -> dict[str, Any]:
    """Return what became of the requests named; raises `Refused` when there are none.

    Only the participant's own are told of. What was found is not told again: a `receipt` names
    the records that were handed over, by id.
    """
    question = asked.txnstatus_request
    value = question.attribute_value
    txn_type = TxnType.SEARCH if question.txn_type is TxnType.RECEIPT else question.txn_type
    named = [value] if isinstance(value, str) else value
    rows = await work.requests(peer.peer_id, txn_type, question.attribute_type, named)
    if not rows:
        raise Refused(ErrorCode.NOT_FOUND, f"txnstatus_request.{question.attribute_type}")
    if question.txn_type is TxnType.RECEIPT:
        told = _receipt(asked.transaction_id, rows)
    else:
        told = _states(rows)
    return {"txnstatus_response": {"txn_type": question.txn_type, "txn_status": told}}


def _states(rows: Sequence[asyncpg.Record]) -> dict[str, Any]:
    """Return the requests of the newest message, in the shape of an answer without its records."""
    return {
        "transaction_id": rows[0]["transaction_id"],
        "correlation_id": rows[0]["correlation_id"],
        "search_response": [_state(row) for row in rows],
    }


def _state(row: asyncpg.Record) -> dict[str, Any]:
    told: dict[str, Any] = {
        "reference_id": row["reference_id"],
        "timestamp": row["received_at"].isoformat(timespec="milliseconds"),
        "status": row["status"],
    }
    if row["reason"] is not None and row["txn_type"] == TxnType.SEARCH:
        told["status_reason_code"] = row["reason"]
    if row["reason_message"] is not None:
        told["status_reason_message"] = row["reason_message"]
    if row["total_count"] is not None:
        told["pagination"] = {
            name: row[name] for name in ("page_size", "page_number", "total_count")
        }
    return told


def _receipt(transaction_id: str, rows: Sequence[asyncpg.Record]) -> dict[str, Any]:
    return {
        "transaction_id": transaction_id,
        "receipt_information": {
            "beneficiaries": [
                {"@type": "Beneficiary", "@id": f"urn:uuid:{record_id}"}
                for row in rows
                for record_id in row["record_ids"] or ()
            ]
        },
    }
