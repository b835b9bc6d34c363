"""What describes a kind of record, and short ways to write its fields down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Final

import msgspec

from processing.register.fields import (
    Choice,
    Fault,
    FaultCode,
    Field,
    FieldType,
    Value,
    choice_keys,
)

Values = Mapping[str, Value]
"""A record's values by the names of its fields; a field that is absent is None."""

Check = Callable[[Values, date], Iterator[Fault]]
"""Looks at the sound values of one record together, as of a local date, and gives what does not
fit."""


class RecordKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of record: where it is kept, its fields, what identifies a record in a file.

    `natural_key` names the fields that are the same in every file that tells of the same record.
    A kind that `creates_rights` takes effect only when a second person approved it.
    """

    kind: str
    table: str
    key_column: str = "record_id"
    creates_rights: bool = False
    ru: str
    en: str
    natural_key: tuple[str, ...]
    fields: tuple[Field, ...]
    checks: tuple[Check, ...] = ()
    by_name: Mapping[str, Field] = {}
    """The fields by their names; filled in by `record_kind`."""

    def field(self, name: str) -> Field:
        """Return the field called `name`; raises KeyError."""
        return self.by_name[name]

    def label(self, language: str) -> str:
        """Return what the kind is called in `language`, "ru" or "en"."""
        return self.ru if language == "ru" else self.en


def record_kind(
    kind: str,
    ru: str,
    en: str,
    *,
    key: tuple[str, ...],
    fields: tuple[Field, ...],
    checks: tuple[Check, ...] = (),
    table: str | None = None,
    key_column: str = "record_id",
    creates_rights: bool = False,
) -> RecordKind:
    """Return a kind kept in `register.<table>`, by default under its own name."""
    return RecordKind(
        kind=kind,
        table=table or kind,
        key_column=key_column,
        creates_rights=creates_rights,
        ru=ru,
        en=en,
        natural_key=key,
        fields=fields,
        checks=checks,
        by_name={field.name: field for field in fields},
    )


def field(
    name: str,
    field_type: FieldType,
    ru: str,
    en: str,
    *synonyms: str,
    required: bool = False,
    length_max: int = 200,
    digits: int = 0,
    low: int = 0,
    high: int = 2**31 - 1,
    past: bool = False,
) -> Field:
    """Return a field that fills the column of its own name."""
    return Field(
        name=name,
        column=name,
        type=field_type,
        ru=ru,
        en=en,
        synonyms=synonyms,
        required=required,
        length_max=length_max,
        digits=digits,
        low=low,
        high=high,
        past=past,
    )


def choice_field(
    name: str, ru: str, en: str, *synonyms: str, choices: tuple[Choice, ...], required: bool = True
) -> Field:
    """Return a field with few values."""
    return Field(
        name=name,
        column=name,
        type=FieldType.CHOICE,
        ru=ru,
        en=en,
        synonyms=synonyms,
        required=required,
        choices=choices,
        choice_of=choice_keys(choices),
    )


def reference(
    name: str,
    column: str,
    to: tuple[str, str],
    ru: str,
    en: str,
    *synonyms: str,
    required: bool = True,
) -> Field:
    """Return a field that names a record of kind `to[0]` by that kind's field `to[1]`."""
    return Field(
        name=name,
        column=column,
        type=FieldType.SNILS if to[1] == "snils" else FieldType.NUMBER,
        ru=ru,
        en=en,
        synonyms=synonyms,
        required=required,
        length_max=64,
        refers_to=to[0],
        refers_by=to[1],
    )


def of_citizen(*, required: bool = True) -> Field:
    """Return the field that says whose record it is."""
    return reference(
        "snils",
        "citizen_id",
        ("citizen", "snils"),
        "СНИЛС",
        "SNILS",
        "снилс гражданина",
        "страховой номер",
        "страховой номер индивидуального лицевого счета",
        required=required,
    )


def first_day(*, required: bool = True) -> Field:
    """Return the field with the first day on which a record is in force."""
    return field(
        "valid_from",
        FieldType.DATE,
        "Действует с",
        "Valid from",
        "дата начала",
        "начало действия",
        "дата начала действия",
        "с",
        "начало",
        "from",
        "start date",
        required=required,
    )


def last_day(*, required: bool = True) -> Field:
    """Return the field with the last day on which a record is in force."""
    return field(
        "valid_to",
        FieldType.DATE,
        "Действует по",
        "Valid to",
        "дата окончания",
        "окончание действия",
        "дата окончания действия",
        "срок действия",
        "действует до",
        "по",
        "до",
        "конец",
        "to",
        "end date",
        required=required,
    )


def category_field() -> Field:
    """Return the field with the code of a benefit category."""
    return field(
        "category",
        FieldType.CODE,
        "Категория (код)",
        "Category (code)",
        "категория",
        "льготная категория",
        "код категории",
        "льгота",
        required=True,
        length_max=40,
    )


def measure_field() -> Field:
    """Return the field with the code of the measure that pays."""
    return field(
        "measure",
        FieldType.CODE,
        "Мера поддержки (код)",
        "Measure (code)",
        "мера",
        "мсп",
        "код меры",
        "мера социальной поддержки",
        required=True,
        length_max=40,
    )


def item_class_field(ru: str, en: str, *synonyms: str) -> Field:
    """Return the field with the class of items that an allowance is granted for."""
    return field("item_class", FieldType.CODE, ru, en, *synonyms, required=True, length_max=20)


PROVIDER_SYNONYMS: Final = ("код организации", "код поставщика", "организация", "поставщик")


def ends_after_start(
    first: str = "valid_from",
    last: str = "valid_to",
    ru: str = "Действует по: день окончания раньше дня начала",
    en: str = "Valid to: the last day is before the first",
) -> Check:
    """Return the check that the day `last` is not before the day `first`."""

    def check(values: Values, today: date) -> Iterator[Fault]:
        begin, end = values.get(first), values.get(last)
        if isinstance(begin, date) and isinstance(end, date) and end < begin:
            yield Fault(last, FaultCode.ENDS_BEFORE_START, ru, en)

    return check
