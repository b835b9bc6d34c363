"""What the register hands out and takes: records, edits, changes, requests, reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

Body = Mapping[str, Any]
"""A record's columns as JSON knows them: dates are ISO texts, keys are UUID texts."""


class Edit(msgspec.Struct, frozen=True):
    """One edit of a change.

    `base_version` is the version that was looked at, 0 for a new record. `body` holds the columns
    to set; None removes the record.
    """

    kind: str
    record_id: UUID
    base_version: int
    body: Body | None


class StoredRecord(msgspec.Struct, frozen=True):
    """A record at one of its versions, with the change that made it and when."""

    kind: str
    record_id: UUID
    version: int
    change_id: int
    recorded_at: datetime
    body: Body


class HistoryStep(msgspec.Struct, frozen=True):
    """How a record came from one version to the next, or to its removal (`after` is None)."""

    version: int
    made_at: datetime
    change_id: int
    made_by: str
    reason: str
    source: str
    approved_by: str | None
    undoes: int | None
    before: Body | None
    after: Body | None


class OpenRequest(msgspec.Struct, frozen=True):
    """A change request that waits for another person, without what is in the records."""

    request_id: int
    proposed_by: str
    proposed_at: datetime
    reason: str
    source: str
    source_reference: str | None
    kinds: tuple[str, ...]


class RequestedEdit(msgspec.Struct, frozen=True):
    """One edit of a request: the record as it is now (None: none), and what is to be set.

    It can be applied only while `version` is still `base_version`.
    """

    ordinal: int
    kind: str
    record_id: UUID
    base_version: int
    version: int | None
    before: Body | None
    body: Body | None


class Undone(msgspec.Struct, frozen=True):
    """What an undo became: a change at once, or a request where rights rest on the records."""

    change_id: int | None
    request_id: int | None


class LaterChange(msgspec.Struct, frozen=True):
    """What stands in the way of an undo."""

    kind: str
    change_id: int
    records: int
    made_by: str
    made_at: datetime


class ReadEntry(msgspec.Struct, frozen=True):
    """Who read a citizen's records, when, what for, by what way and which kinds."""

    read_id: int
    read_at: datetime
    read_by: str
    purpose: str
    way: str
    kinds: tuple[str, ...]


class Reader(msgspec.Struct, frozen=True):
    """Who reads personal data, and what for: both go into the log of reads."""

    by: str
    purpose: str
