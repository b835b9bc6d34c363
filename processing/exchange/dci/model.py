"""The participants of the exchange, and what is kept of their requests."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

import msgspec
from joserfc.jwk import KeySet

from processing.exchange.dci.attributes import Part
from processing.exchange.dci.codes import Action, Status
from processing.exchange.dci.signature import Algorithm


class Entity(StrEnum):
    """What a record is of: a citizen or a household."""

    MEMBER = "Member"
    GROUP = "Group"


class TxnType(StrEnum):
    """Whose state may be asked for."""

    SEARCH = "search"
    SUBSCRIBE = "subscribe"
    RECEIPT = "receipt"


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A participant. `purposes` tells of each purpose whether it needs the citizen's consent."""

    peer_id: str
    name: str
    keys: KeySet
    callback_uri: str | None
    registry_uri: str | None
    algorithm: Algorithm
    parts: frozenset[Part]
    messages_per_minute: int
    active: bool
    purposes: Mapping[str, bool]


class KeptRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one search or subscription."""

    txn_type: TxnType
    transaction_id: str
    reference_id: str
    status: Status
    reason: str | None = None
    reason_message: str | None = None
    page_size: int | None = None
    page_number: int | None = None
    total_count: int | None = None
    record_ids: tuple[UUID, ...] = ()


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way to a participant, still without its signature."""

    message_id: UUID
    peer_id: str
    action: Action
    uri: str
    header: bytes
    message: bytes
    attempts: int = 0
