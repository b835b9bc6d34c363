"""A batch as the arrays of `engine.batch`, written as PostgreSQL writes arrays: `{1,2,3}`.

The server reads such a text as fast as a binary array, and Python makes one of a whole column in a
single call, where a driver encodes each value by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias
from uuid import UUID

from asyncpg.pgproto import pgproto

from processing.authorization.model import Case
from processing.wire.transaction import TransactionKey

COLUMNS: Final = {
    "bucket": "smallint[]",
    "business_date": "date[]",
    "terminal_id": "text[]",
    "stan": "integer[]",
    "message_class": "smallint[]",
    "kind": "smallint[]",
    "advice": "boolean[]",
    "evidence": "smallint[]",
    "proof": "smallint[]",
    "card_id": "uuid[]",
    "holder_id": "uuid[]",
    "service": "text[]",
    "service_version": "integer[]",
    "parent_business_date": "date[]",
    "parent_terminal_id": "text[]",
    "parent_stan": "integer[]",
    "parent_message_class": "smallint[]",
    "signed_at_ms": "bigint[]",
    "paper": "bytea[]",
    "signature_bytes": "smallint[]",
    "line_count": "smallint[]",
    "line_ordinal": "smallint[]",
    "line_no": "smallint[]",
    "item": "text[]",
    "quantity": "bigint[]",
    "unit_okei": "smallint[]",
    "scale": "smallint[]",
    "gross_kopecks": "bigint[]",
}
"""The columns of `engine.batch` and their types, in order."""

_BINARY: Final = {"paper", "card_id", "holder_id"}
"""What the server would read from a text more slowly than the driver writes it."""

_LINE_COLUMNS: Final = 7


Column: TypeAlias = str | Sequence[bytes] | Sequence[UUID] | None
"""An array as a text, or one that the driver encodes; None: NULL."""


def batch_parameters(first: int) -> str:
    """Return the SQL of one `engine.batch` whose columns are the parameters from `first` on."""
    values = (
        f"${number}" if name in _BINARY else f"${number}::text::{of_type}"
        for number, (name, of_type) in enumerate(COLUMNS.items(), first)
    )
    return f"ROW({', '.join(values)})::engine.batch"


def batch_columns(cases: Sequence[Case]) -> tuple[Column, ...]:
    """Return the columns of a batch in the order of `batch_parameters`."""
    requests = [case.request for case in cases]
    keys = [request.key for request in requests]
    lines = [
        (ordinal, number, line.item, line.quantity, line.unit_okei, line.scale, line.gross_kopecks)
        for ordinal, request in enumerate(requests, 1)
        for number, line in enumerate(request.lines, 1)
    ]
    ordinals, numbers, items, *amounts = zip(*lines, strict=True) if lines else [()] * _LINE_COLUMNS
    return (
        _numbers([case.bucket for case in cases]),
        _plain([key.business_date.isoformat() for key in keys]),
        _texts([key.terminal_id for key in keys]),
        _numbers([key.stan for key in keys]),
        _numbers([int(key.message_class) for key in keys]),
        _numbers([int(request.kind) for request in requests]),
        _numbers([request.advice for request in requests]),
        _numbers([int(request.evidence) for request in requests]),
        _numbers([int(case.proof) for case in cases]),
        [pgproto.UUID(request.card_id) for request in requests],
        [case.holder_id for case in cases],
        _texts([request.service for request in requests]),
        _numbers([request.service_version for request in requests]),
        *_parents([request.parent for request in requests]),
        _numbers([request.signed_at_ms for request in requests]),
        [case.digest + case.request.signature + case.canonical for case in cases],
        _numbers([len(request.signature) for request in requests]),
        _numbers([len(request.lines) for request in requests]),
        _numbers(ordinals),
        _numbers(numbers),
        _texts(items),
        *map(_numbers, amounts),
    )


def _parents(parents: Sequence[TransactionKey | None]) -> tuple[str | None, ...]:
    if not any(parents):
        return (None, None, None, None)
    return (
        _plain([one.business_date.isoformat() if one else "NULL" for one in parents]),
        _plain([f'"{one.terminal_id}"' if one else "NULL" for one in parents]),
        _plain([str(one.stan) if one else "NULL" for one in parents]),
        _plain([str(int(one.message_class)) if one else "NULL" for one in parents]),
    )


def _numbers(values: Sequence[int]) -> str:
    # Python writes [1, 2] where PostgreSQL writes {1, 2}.
    return f"{{{str(list(values))[1:-1]}}}"


def _plain(values: Sequence[str]) -> str:
    """Write texts without a character that means something in an array, such as dates."""
    return f"{{{','.join(values)}}}"


def _texts(values: Sequence[str]) -> str:
    """Write identifiers, in quotes: a service may be named NULL."""
    if not values:
        return "{}"
    text = '","'.join(values)
    return f'{{"{text}"}}'
