"""Integers as people read them: money, quantities with their units written out, dates.

A quantity of scale 3 counts thousandths of its unit, so 12 500 is «12,5». Nothing here rounds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from typing import Final, Literal

import msgspec

Language = Literal["ru", "en"]

KOPECK_SCALE: Final = 2
"""Decimals of a rouble."""

ROUBLE_OKEI: Final = 383
"""ОКЕИ code of the rouble: a right in money, counted in kopecks."""

_NO_BREAK_SPACE: Final = "\u00a0"


class Unit(msgspec.Struct, frozen=True):
    """A unit written out.

    Russian: `one` (1, 21), `few` (2 to 4, and fractions; also "of one"), `many` (5 to 20; also "of
    several"). English: `en_one` and `en_many`.
    """

    one: str
    few: str
    many: str
    en_one: str
    en_many: str


UNITS: Final[dict[int, Unit]] = {
    112: Unit("литр", "литра", "литров", "litre", "litres"),
    113: Unit("кубометр", "кубометра", "кубометров", "cubic metre", "cubic metres"),
    166: Unit("килограмм", "килограмма", "килограммов", "kilogram", "kilograms"),
    245: Unit("киловатт-час", "киловатт-часа", "киловатт-часов", "kilowatt-hour", "kilowatt-hours"),
    246: Unit("мегаватт-час", "мегаватт-часа", "мегаватт-часов", "megawatt-hour", "megawatt-hours"),
    355: Unit("минута", "минуты", "минут", "minute", "minutes"),
    356: Unit("час", "часа", "часов", "hour", "hours"),
    359: Unit("день", "дня", "дней", "day", "days"),
    642: Unit("единица", "единицы", "единиц", "unit", "units"),
    778: Unit("упаковка", "упаковки", "упаковок", "pack", "packs"),
    796: Unit("штука", "штуки", "штук", "piece", "pieces"),
}
"""Units by ОКЕИ code."""

TIMES: Final = Unit("раз", "раза", "раз", "time", "times")
"""What a right counts that gives one per line."""


def format_kopecks(amount_kopecks: int) -> str:
    """Return an amount as «1 234,56 ₽»; spaces do not break."""
    roubles, kopecks = divmod(abs(amount_kopecks), 10**KOPECK_SCALE)
    sign = "−" if amount_kopecks < 0 else ""
    return f"{sign}{_grouped(roubles)},{kopecks:02}{_NO_BREAK_SPACE}₽"


def format_quantity(quantity: int, scale: int) -> str:
    """Return a quantity in whole units as people write it: 12 500 with scale 3 is «12,5»."""
    whole, rest = divmod(abs(quantity), 10**scale)
    sign = "−" if quantity < 0 else ""
    decimals = f"{rest:0{scale}}".rstrip("0") if rest else ""
    return f"{sign}{_grouped(whole)}" + (f",{decimals}" if decimals else "")


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", _NO_BREAK_SPACE)


def counted(
    quantity: int, scale: int, unit: Unit, language: Language, *, genitive: bool = False
) -> str:
    """Return «2 упаковки»; `genitive` is the form after "not more than": «2 упаковок»."""
    whole, rest = divmod(abs(quantity), 10**scale)
    if language == "en":
        word = unit.en_one if whole == 1 and not rest else unit.en_many
    elif rest:
        word = unit.few
    elif genitive:
        word = unit.few if _ends_in_one(whole) else unit.many
    else:
        word = _form(whole, unit)
    return f"{format_quantity(quantity, scale)}{_NO_BREAK_SPACE}{word}"


def _form(whole: int, unit: Unit) -> str:
    """Return the Russian form after a whole number (CLDR plural rules of `ru`)."""
    if _ends_in_one(whole):
        return unit.one
    if whole % 10 in (2, 3, 4) and whole % 100 not in (12, 13, 14):
        return unit.few
    return unit.many


def _ends_in_one(whole: int) -> bool:
    return whole % 10 == 1 and whole % 100 != 11


def format_date(day: date, language: Language) -> str:
    """Return «30.11.2026», or "30 Nov 2026"."""
    if language == "ru":
        return f"{day:%d.%m.%Y}"
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def format_moment(moment: datetime, zone: tzinfo, language: Language) -> str:
    """Return date, hours and minutes as the clocks of `zone` show them."""
    local = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(zone)
    return f"{format_date(local.date(), language)} {local:%H:%M}"


_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
