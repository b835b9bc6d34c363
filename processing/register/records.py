"""The kinds of records that the register keeps, and how a record is read from typed texts.

One closed, ordered catalogue serves files, forms, change requests and messages: a kind stands
after those it refers to. `register.record_kind` in the database lists the same kinds; the fields
of a kind fill the columns of its table.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

import msgspec

from processing.register.fields import Fault, Field, Value, header_key, missing, read_field
from processing.register.kinds.care import (
    PRESCRIPTION,
    REHABILITATION_MEASURE,
    REHABILITATION_PLAN,
    SERVICE_PLAN,
    SERVICE_PLAN_LINE,
)
from processing.register.kinds.family import (
    CIRCUMSTANCE,
    HOUSEHOLD,
    HOUSEHOLD_MEMBER,
    INCOME,
    LIFE_EVENT,
    PERSONAL_ACCOUNT,
)
from processing.register.kinds.person import (
    ADDRESS,
    CITIZEN,
    CONSENT,
    CONTACT,
    IDENTITY_DOCUMENT,
    REPRESENTATIVE,
    phone_digits,
)
from processing.register.kinds.rights import (
    CATEGORY,
    CERTIFICATE,
    ENTITLEMENT,
    POLICY,
    SCHOOL_MEALS,
)
from processing.register.kinds.shape import RecordKind

RECORD_KINDS: Final = (
    CITIZEN,
    IDENTITY_DOCUMENT,
    ADDRESS,
    CONTACT,
    CONSENT,
    REPRESENTATIVE,
    HOUSEHOLD,
    HOUSEHOLD_MEMBER,
    INCOME,
    CIRCUMSTANCE,
    CATEGORY,
    LIFE_EVENT,
    SERVICE_PLAN,
    SERVICE_PLAN_LINE,
    REHABILITATION_PLAN,
    REHABILITATION_MEASURE,
    PRESCRIPTION,
    CERTIFICATE,
    PERSONAL_ACCOUNT,
    POLICY,
    SCHOOL_MEALS,
    ENTITLEMENT,
)

KIND_BY_NAME: Final[Mapping[str, RecordKind]] = {kind.kind: kind for kind in RECORD_KINDS}


class Reading(msgspec.Struct, frozen=True):
    """A record as it was read: the sound values by field name, and what is wrong.

    It may be used only when `faults` is empty. Fields that were not given are absent.
    """

    values: dict[str, Value]
    faults: tuple[Fault, ...]


def read_record(
    kind: RecordKind, cells: Mapping[str, str], today: date, *, partial: bool = False
) -> Reading:
    """Read a record's texts, given by field name, as of the local date `today`.

    With `partial` the record exists already and only the given fields change: absent ones may be
    absent, and checks of the whole record are left to whoever knows the rest (`check_record`).
    Raises KeyError for a name that the kind does not have.
    """
    values: dict[str, Value] = {}
    faults: list[Fault] = []
    by_name = kind.by_name
    for name, text in cells.items():
        value = read_field(by_name[name], text, today)
        if isinstance(value, Fault):
            faults.append(value)
        else:
            values[name] = value
    if not partial:
        faults += [
            missing(field) for field in kind.fields if field.required and field.name not in cells
        ]
        faults += check_record(kind, values, today)
    return Reading(settled(kind, values), tuple(faults))


def settled(kind: RecordKind, values: dict[str, Value]) -> dict[str, Value]:
    """Return the values as the register keeps them where one depends on another."""
    if kind is CONTACT and values.get("channel") in ("phone", "sms"):
        digits = phone_digits(str(values.get("value")))
        return {**values, "value": digits} if digits else values
    return values


def check_record(kind: RecordKind, values: Mapping[str, Value], today: date) -> list[Fault]:
    """Return what does not fit together in a whole record's values, as of the date `today`."""
    return [fault for check in kind.checks for fault in check(values, today)]


def header_names(kind: RecordKind) -> dict[str, Field]:
    """Return the fields by the headers known for them, as `header_key` writes these.

    A field's own name and labels win over another field's synonyms.
    """
    found: dict[str, Field] = {}
    for field in kind.fields:
        for name in (field.name, field.ru, field.en):
            found.setdefault(header_key(name), field)
    for field in kind.fields:
        for name in field.synonyms:
            found.setdefault(header_key(name), field)
    return found
