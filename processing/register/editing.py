"""From typed texts to an edit: read, checked as a whole record, references resolved to keys."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from processing.register.fields import Fault, FaultCode, FieldType, Value, header_key
from processing.register.kinds.shape import RecordKind
from processing.register.model import Body, Edit
from processing.register.records import check_record, header_names, read_record
from processing.register.rules import RegisterError
from processing.register.store import RegisterStore

WRONG_FIELDS = "wrong_fields"
"""The rule that a record breaks whose fields are wrong in themselves."""


def new_record_id(utc_ms: int) -> UUID:
    """Return a fresh key (UUIDv7, RFC 9562 section 5.7) made at `utc_ms`."""
    value = utc_ms.to_bytes(6, "big") + secrets.token_bytes(10)
    return UUID(int=int.from_bytes(value, "big") & ~(0xF << 76 | 0x3 << 62) | 7 << 76 | 2 << 62)


def cells_of(kind: RecordKind, texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts by field name, given by any header known for the field.

    Raises `RegisterError` naming a header that the kind does not have.
    """
    known = header_names(kind)
    unknown = [title for title in texts if header_key(title) not in known]
    if unknown:
        names = ", ".join(field.name for field in kind.fields)
        raise RegisterError(
            WRONG_FIELDS,
            [
                Fault(
                    title,
                    FaultCode.UNKNOWN_CHOICE,
                    f"{title}: такого поля нет; есть: {names}",
                    f"{title}: there is no such field; there are: {names}",
                )
                for title in unknown
            ],
        )
    return {known[header_key(title)].name: text for title, text in texts.items()}


async def new_record(
    store: RegisterStore, kind: RecordKind, cells: Mapping[str, str], today: date, record_id: UUID
) -> Edit:
    """Return the edit that makes a record; raises `RegisterError` with all that is wrong."""
    reading = read_record(kind, cells, today)
    _require_sound(reading.faults)
    return Edit(kind.kind, record_id, 0, await _body(store, kind, reading.values))


async def changed_record(
    store: RegisterStore,
    kind: RecordKind,
    cells: Mapping[str, str],
    today: date,
    stored: tuple[UUID, int, Body],
) -> Edit:
    """Return the edit that sets fields of the record `stored` (key, version, columns)."""
    record_id, version, before = stored
    reading = read_record(kind, cells, today, partial=True)
    whole = {**stored_values(kind, before), **reading.values}
    _require_sound([*reading.faults, *check_record(kind, whole, today)])
    return Edit(kind.kind, record_id, version, await _body(store, kind, reading.values))


def stored_values(kind: RecordKind, body: Body) -> dict[str, Value]:
    """Return a stored record's values by field name, but for references: those are keys."""
    values: dict[str, Value] = {}
    for field in kind.fields:
        value = body.get(field.column)
        if field.refers_to is not None:
            # A key of its own kind: enough to tell that the field is filled in.
            values[field.name] = value
        elif value is not None and field.type in (FieldType.DATE, FieldType.MONTH):
            values[field.name] = date.fromisoformat(value)
        else:
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return values


def _require_sound(faults: list[Fault] | tuple[Fault, ...]) -> None:
    if faults:
        raise RegisterError(WRONG_FIELDS, faults)


async def _body(
    store: RegisterStore, kind: RecordKind, values: Mapping[str, Value]
) -> dict[str, Any]:
    """Return the columns to set, as JSON knows them."""
    body: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, value in values.items():
        field = kind.field(name)
        if field.refers_to is None or value is None:
            body[field.column] = value
            continue
        found = await store.resolve(field.refers_to, [str(value)])
        if str(value) in found:
            body[field.column] = str(found[str(value)])
        else:
            faults.append(
                Fault(
                    name,
                    FaultCode.UNKNOWN_REFERENCE,
                    f"{field.ru}: такого номера нет в регистре",
                    f"{field.en}: the register does not know this number",
                )
            )
    _require_sound(faults)
    return body
