"""What a participant may ask for and be told: the parts of a record and the attributes in them.

A participant is allowed parts. It may neither read nor filter by what is not allowed: a filter
that hits or misses tells as much as the value itself.
"""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from typing import Final

import msgspec

from processing.register.identifiers import IdentifierError, read_enp, read_inn, read_snils


class Part(StrEnum):
    """A part of a record that a participant may be allowed to see."""

    IDENTIFIER = "identifier"
    NAME = "name"
    BIRTH_DATE = "birth_date"
    SEX = "sex"
    ADDRESS = "address"
    CATEGORY = "category"
    MEASURE = "measure"
    HOUSEHOLD = "household"


class Form(StrEnum):
    """How a value of an attribute is written."""

    TEXT = "text"
    DATE = "date"
    INTEGER = "integer"
    SEX = "sex"
    BOOLEAN = "boolean"
    SNILS = "snils"
    ENP = "enp"
    INN = "inn"
    UUID = "uuid"


class Operator(StrEnum):
    """How a value is compared."""

    EQ = "eq"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute that may be asked for; its name is that of exchange.attribute_sql."""

    name: str
    form: Form
    part: Part
    ordered: bool = False
    """Whether lt, le, gt and ge make sense."""
    single: bool = True
    """Whether a citizen has one value at most; records are sorted by what is single and ordered."""


ATTRIBUTES: Final[tuple[Attribute, ...]] = (
    Attribute(name="snils", form=Form.SNILS, part=Part.IDENTIFIER),
    Attribute(name="enp", form=Form.ENP, part=Part.IDENTIFIER),
    Attribute(name="inn", form=Form.INN, part=Part.IDENTIFIER),
    Attribute(name="surname", form=Form.TEXT, part=Part.NAME, ordered=True),
    Attribute(name="given_name", form=Form.TEXT, part=Part.NAME, ordered=True),
    Attribute(name="second_name", form=Form.TEXT, part=Part.NAME, ordered=True),
    Attribute(name="birth_date", form=Form.DATE, part=Part.BIRTH_DATE, ordered=True),
    Attribute(name="birth_year", form=Form.INTEGER, part=Part.BIRTH_DATE, ordered=True),
    Attribute(name="sex", form=Form.SEX, part=Part.SEX),
    Attribute(name="region", form=Form.INTEGER, part=Part.ADDRESS, ordered=True),
    Attribute(name="category", form=Form.TEXT, part=Part.CATEGORY, single=False),
    Attribute(name="is_disabled", form=Form.BOOLEAN, part=Part.CATEGORY),
    Attribute(name="measure", form=Form.TEXT, part=Part.MEASURE, single=False),
    Attribute(name="group_identifier", form=Form.UUID, part=Part.HOUSEHOLD, single=False),
    Attribute(
        name="group_size", form=Form.INTEGER, part=Part.HOUSEHOLD, ordered=True, single=False
    ),
)
"""Every attribute, in the order in which pages and messages list them."""

ALIASES: Final = {
    "uin": "snils",
    "nid": "snils",
    "nationalid": "snils",
    "national_id": "snils",
    "identifier": "snils",
    "policy_number": "enp",
    "last_name": "surname",
    "family_name": "surname",
    "first_name": "given_name",
    "patronymic": "second_name",
    "middle_name": "second_name",
    "dob": "birth_date",
    "yob": "birth_year",
    "gender": "sex",
    "location": "region",
    "benefit_category": "category",
    "programme_identifier": "measure",
    "household_id": "group_identifier",
}
"""Names that other registries and the examples of the description use, in lower case."""

IDENTIFIERS: Final = ("snils", "enp", "inn", "group_identifier")
"""The attributes that an idtype-value query may name."""

TEXT_LENGTH_MAX: Final = 200
"""Most characters of a value to compare with."""

_BY_NAME: Final = {attribute.name: attribute for attribute in ATTRIBUTES}
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SEXES: Final = {"male": "m", "m": "m", "female": "f", "f": "f", "м": "m", "ж": "f"}
_INTEGER_MAX: Final = 2**31 - 1


def attribute_of(name: str) -> Attribute | None:
    """Return the attribute with this name or alias, in any case; None when there is none."""
    short = name.rsplit(":", 1)[-1].lower()
    return _BY_NAME.get(ALIASES.get(short, short))


def read_value(attribute: Attribute, value: object) -> str:
    """Return a value as exchange.search compares it; raises ValueError that says what is wrong."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str | int):
        text = str(value).strip()
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    else:
        raise ValueError(f"{attribute.name}: a text, a number or a boolean is expected")
    if not 0 < len(text) <= TEXT_LENGTH_MAX or "\0" in text:
        raise ValueError(f"{attribute.name}: 1 to {TEXT_LENGTH_MAX} characters are expected")
    try:
        return _read(attribute.form, text)
    except IdentifierError as error:
        raise ValueError(f"{attribute.name}: {error}") from None
    except ValueError:
        raise ValueError(f"{attribute.name}: no value of the form {attribute.form}") from None


def _read(form: Form, text: str) -> str:
    match form:
        case Form.TEXT:
            return text
        case Form.DATE:
            # The examples of the description write dates as midnight of UTC.
            return date.fromisoformat(text.removesuffix("T00:00:00Z")).isoformat()
        case Form.INTEGER:
            if abs(number := int(text)) > _INTEGER_MAX:
                raise ValueError(text)
            return str(number)
        case Form.SEX:
            if text.lower() not in _SEXES:
                raise ValueError(text)
            return _SEXES[text.lower()]
        case Form.BOOLEAN:
            if text.lower() not in {"true", "false"}:
                raise ValueError(text)
            return text.lower()
        case Form.SNILS:
            return read_snils(text)
        case Form.ENP:
            return read_enp(text)
        case Form.INN:
            return read_inn(text)
        case Form.UUID:
            bare = text.lower().removeprefix("urn:uuid:")
            if not _UUID.fullmatch(bare):
                raise ValueError(text)
            return bare
