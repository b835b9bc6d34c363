"""What one field of a record may hold: how a typed text becomes a value, or what is wrong with it.

`read_field` is the one place where files, forms, messages and change requests have their texts
read. A value is what the database's column takes: text, integer (kopecks, hundredths of a square
metre), truth, date, or a tuple of texts. What is wrong is a `Fault`: field, code and a sentence in
Russian and English that does not repeat the value, so that it may be shown and logged.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from processing.register.identifiers import IdentifierError, read_enp, read_inn, read_snils

TEXT_LENGTH_MAX: Final = 200
"""Longest text of a field that names no limit of its own, in characters."""

DATE_MIN: Final = date(1880, 1, 1)
"""Nobody in the register was born earlier, and nothing was written earlier."""

DATE_MAX: Final = date(2199, 12, 31)
LIST_ITEMS_MAX: Final = 32

Value = str | int | bool | date | tuple[str, ...] | None
"""None: the field is empty."""


class FieldType(StrEnum):
    """How a text is read."""

    TEXT = "text"
    PERSON_NAME = "person_name"
    CODE = "code"
    NUMBER = "number"
    """The number of a document or account: letters, digits, `-` and `/`; spaces are dropped."""
    DIGITS = "digits"
    INTEGER = "integer"
    ROUBLES = "roubles"
    """An amount in roubles; its value is in kopecks."""
    SQUARE_METRES = "square_metres"
    """An area; its value is in hundredths of a square metre."""
    DATE = "date"
    MONTH = "month"
    """A month; its value is its first day."""
    FLAG = "flag"
    CHOICE = "choice"
    LIST = "list"
    GAR = "gar"
    """An object of the state address register: a UUID."""
    MKB = "mkb"
    SNILS = "snils"
    ENP = "enp"
    INN = "inn"


class FaultCode(StrEnum):
    """What can be wrong with a field, a record, or a record among the others."""

    MISSING = "missing"
    NOT_TEXT = "not_text"
    TOO_LONG = "too_long"
    WRONG_CHARACTERS = "wrong_characters"
    WRONG_DIGITS = "wrong_digits"
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"
    NOT_A_DATE = "not_a_date"
    IMPOSSIBLE_DATE = "impossible_date"
    DATE_IN_FUTURE = "date_in_future"
    DATE_TOO_EARLY = "date_too_early"
    UNKNOWN_CHOICE = "unknown_choice"
    ENDS_BEFORE_START = "ends_before_start"
    DOES_NOT_FIT = "does_not_fit"
    EXPIRED = "expired"
    ONESELF = "oneself"
    CYCLE = "cycle"
    OVERLAP = "overlap"
    TAKEN = "taken"
    UNKNOWN_REFERENCE = "unknown_reference"
    CHANGED_MEANWHILE = "changed_meanwhile"


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong; `ru` and `en` say what and what to do, without a full stop."""

    field: str
    code: FaultCode
    ru: str
    en: str

    def text(self, language: str) -> str:
        """Return the sentence in `language`, "ru" or "en"."""
        return self.ru if language == "ru" else self.en


class Choice(msgspec.Struct, frozen=True):
    """One of a field's few values, its names, and other words that people write for it."""

    value: str | int
    ru: str
    en: str
    synonyms: tuple[str, ...] = ()


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field: its name in files and forms, the column it fills, its labels, what it may hold.

    `synonyms` are further headers under which files bring it, as `header_key` writes them. A field
    that `refers_to` a kind holds that record's `refers_by` (a citizen's СНИЛС), and its column the
    record's key.
    """

    name: str
    column: str
    type: FieldType
    ru: str
    en: str
    synonyms: tuple[str, ...] = ()
    required: bool = False
    choices: tuple[Choice, ...] = ()
    choice_of: Mapping[str, str | int] = {}
    """The choices by `header_key` of all their names; filled in by `choice_field`."""
    length_max: int = TEXT_LENGTH_MAX
    digits: int = 0
    low: int = 0
    high: int = 2**31 - 1
    past: bool = False
    """A date that cannot lie after today."""
    refers_to: str | None = None
    refers_by: str | None = None

    def label(self, language: str) -> str:
        """Return the label in `language`, "ru" or "en"."""
        return self.ru if language == "ru" else self.en


def header_key(text: str) -> str:
    """Return a header or a choice's name as it is compared: lower case, letters and digits only.

    >>> header_key("  Дата рожд. (дд.мм.гггг)")
    'дата рожд дд мм гггг'
    """
    return " ".join(_WORDS.findall(text.lower().replace("ё", "е").replace("_", " ")))


def choice_keys(choices: tuple[Choice, ...]) -> dict[str, str | int]:
    """Return the values by everything that people write for them."""
    return {
        header_key(str(name)): choice.value
        for choice in choices
        for name in (choice.value, choice.ru, choice.en, *choice.synonyms)
    }


def read_field(field: Field, text: str, today: date) -> Value | Fault:
    """Return the value of a typed text, or the fault. An empty text is None, or a fault.

    `today` is the local date, which dates of the past are compared with.
    """
    bare = text.strip()
    if not bare:
        if field.required:
            return missing(field)
        return None
    if len(bare) > field.length_max:
        return Fault(
            field.name,
            FaultCode.TOO_LONG,
            f"{field.ru}: не больше {field.length_max} знаков, введено {len(bare)}",
            f"{field.en}: at most {field.length_max} characters, {len(bare)} were given",
        )
    return _READERS[field.type](field, bare, today)


def missing(field: Field) -> Fault:
    """Return the fault of a required field without a value."""
    return Fault(
        field.name,
        FaultCode.MISSING,
        f"{field.ru}: обязательно заполните",
        f"{field.en}: has to be filled in",
    )


def read_date(text: str) -> date | tuple[FaultCode, str, str]:
    """Return the date of дд.мм.гггг, гггг-мм-дд or дд/мм/гггг, with any time after it dropped."""
    found = _DAY_FIRST.fullmatch(text) or _YEAR_FIRST.fullmatch(text)
    if found is None:
        return (
            FaultCode.NOT_A_DATE,
            "нужна дата вида 31.12.2026, год четырьмя цифрами",
            "a date such as 31.12.2026 or 2026-12-31 is expected, the year in four digits",
        )
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    if not 1 <= month <= 12:
        return (
            FaultCode.IMPOSSIBLE_DATE,
            f"такой даты нет: месяцев двенадцать, указан {month}",
            f"there is no such date: month {month}",
        )
    days = calendar.monthrange(max(year, 1), month)[1]
    if not 1 <= day <= days:
        return (
            FaultCode.IMPOSSIBLE_DATE,
            f"такой даты нет: в этом месяце {days} дн., указан {day}-й",
            f"there is no such date: that month has {days} days, day {day} was given",
        )
    if not DATE_MIN.year <= year <= DATE_MAX.year:
        return (
            FaultCode.DATE_TOO_EARLY if year < DATE_MIN.year else FaultCode.OUT_OF_RANGE,
            f"проверьте год: нужен от {DATE_MIN.year} до {DATE_MAX.year}",
            f"check the year: {DATE_MIN.year} to {DATE_MAX.year} is expected",
        )
    return date(year, month, day)


_WORDS: Final = re.compile(r"[^\W_]+")
_DAY_FIRST: Final = re.compile(
    r"(?P<day>\d{1,2})[./-](?P<month>\d{1,2})[./-](?P<year>\d{4})(?:\s*г\.?|[ T]\d.*)?"
)
_YEAR_FIRST: Final = re.compile(
    r"(?P<year>\d{4})[-./](?P<month>\d{1,2})[-./](?P<day>\d{1,2})(?:[ T]\d.*)?"
)
_MONTH_FIRST: Final = re.compile(r"(?P<month>\d{1,2})[./-](?P<year>\d{4})")
_MONTH_LAST: Final = re.compile(r"(?P<year>\d{4})[./-](?P<month>\d{1,2})")
# A hyphen, an apostrophe and a full stop occur in names ("Оглы-Заде", "Д'Артаньян", "Св.").
_PERSON_NAME: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .'’-])*")
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]*")
_NUMBER: Final = re.compile(r"[^\W_](?:[^\W_]|[-/])*")
_MKB: Final = re.compile(r"[A-Z]\d{2}(?:\.\d{1,2})?")
_TRUE: Final = frozenset({"да", "yes", "true", "1", "д", "y", "истина", "x", "х"})
_FALSE: Final = frozenset({"нет", "no", "false", "0", "н", "n", "ложь"})
# Cyrillic letters that look like the Latin ones of a diagnosis code.
_LOOKALIKES: Final = str.maketrans("АВСЕНКМОРТХУ", "ABCEHKMOPTXY")


def _text(field: Field, text: str, today: date) -> Value | Fault:
    if not text.isprintable():
        return Fault(
            field.name,
            FaultCode.NOT_TEXT,
            f"{field.ru}: есть непечатаемые знаки или перенос строки; наберите значение заново",
            f"{field.en}: holds unprintable characters or a line break; type it again",
        )
    return " ".join(text.split())


def _person_name(field: Field, text: str, today: date) -> Value | Fault:
    name = " ".join(text.split())
    if not _PERSON_NAME.fullmatch(name):
        return Fault(
            field.name,
            FaultCode.WRONG_CHARACTERS,
            f"{field.ru}: нужны буквы, пробел, дефис или апостроф",
            f"{field.en}: letters, a space, a hyphen or an apostrophe are expected",
        )
    return name


def _code(field: Field, text: str, today: date) -> Value | Fault:
    if not _CODE.fullmatch(text):
        return Fault(
            field.name,
            FaultCode.WRONG_CHARACTERS,
            f"{field.ru}: нужен код из латинских букв, цифр, точки, «-» и «/»",
            f"{field.en}: a code of Latin letters, digits, full stop, - and / is expected",
        )
    return text


def _number(field: Field, text: str, today: date) -> Value | Fault:
    bare = "".join(text.split()).removeprefix("№").upper()
    if not _NUMBER.fullmatch(bare):
        return Fault(
            field.name,
            FaultCode.WRONG_CHARACTERS,
            f"{field.ru}: нужны буквы, цифры, «-» и «/»",
            f"{field.en}: letters, digits, - and / are expected",
        )
    return bare


def _digits(field: Field, text: str, today: date) -> Value | Fault:
    bare = "".join(c for c in text if c not in " -\u00a0\u2011\u2013")
    if not (bare.isascii() and bare.isdigit() and len(bare) == field.digits):
        return Fault(
            field.name,
            FaultCode.WRONG_DIGITS,
            f"{field.ru}: нужно цифр: {field.digits}",
            f"{field.en}: {field.digits} digits are expected",
        )
    return bare


def _integer(field: Field, text: str, today: date) -> Value | Fault:
    bare = text.removesuffix("%").replace("\u00a0", "").replace(" ", "")
    # A spreadsheet hands out whole numbers as "30.0".
    whole, _, fraction = bare.replace(",", ".").partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 18 and not fraction.strip("0")):
        return Fault(
            field.name,
            FaultCode.NOT_A_NUMBER,
            f"{field.ru}: нужно целое число",
            f"{field.en}: a whole number is expected",
        )
    return _in_range(field, int(whole), str(field.low), str(field.high))


def _roubles(field: Field, text: str, today: date) -> Value | Fault:
    return _hundredths(
        field,
        _MONEY_WORDS.sub("", text),
        "сумма в рублях, например 1250,50",
        "an amount in roubles such as 1250.50",
    )


def _square_metres(field: Field, text: str, today: date) -> Value | Fault:
    return _hundredths(
        field,
        _AREA_WORDS.sub("", text),
        "площадь в квадратных метрах, например 54,2",
        "an area in square metres such as 54.2",
    )


_MONEY_WORDS: Final = re.compile(r"(?:руб(?:лей|\.)?|р\.?|₽)$", re.IGNORECASE)
_AREA_WORDS: Final = re.compile(r"(?:кв\.?\s*м\.?|м2|м²)$", re.IGNORECASE)


def _hundredths(field: Field, text: str, ru: str, en: str) -> Value | Fault:
    """Read a number with at most two decimals exactly; its value counts hundredths."""
    bare = text.replace("\u00a0", "").replace(" ", "").replace(",", ".")
    wrong = Fault(
        field.name, FaultCode.NOT_A_NUMBER, f"{field.ru}: нужна {ru}", f"{field.en}: {en}"
    )
    try:
        hundredths = Decimal(bare) * 100
    except InvalidOperation:
        return wrong
    if not hundredths.is_finite() or hundredths != hundredths.to_integral_value():
        return wrong
    low, high = Decimal(field.low) / 100, Decimal(field.high) / 100
    return _in_range(field, int(hundredths), f"{low:f}", f"{high:f}")


def _in_range(field: Field, value: int, low: str, high: str) -> Value | Fault:
    if field.low <= value <= field.high:
        return value
    return Fault(
        field.name,
        FaultCode.OUT_OF_RANGE,
        f"{field.ru}: нужно от {low} до {high}",
        f"{field.en}: {low} to {high} is expected",
    )


def _date(field: Field, text: str, today: date) -> Value | Fault:
    found = read_date(text)
    if isinstance(found, tuple):
        code, ru, en = found
        return Fault(field.name, code, f"{field.ru}: {ru}", f"{field.en}: {en}")
    if field.past and found > today:
        return Fault(
            field.name,
            FaultCode.DATE_IN_FUTURE,
            f"{field.ru}: дата ещё не наступила",
            f"{field.en}: this day has not come yet",
        )
    return found


def _month(field: Field, text: str, today: date) -> Value | Fault:
    found = _MONTH_FIRST.fullmatch(text) or _MONTH_LAST.fullmatch(text)
    if found is not None:
        text = f"01.{found['month']}.{found['year']}"
    read = _date(field, text, today)
    return read.replace(day=1) if isinstance(read, date) else read


def _flag(field: Field, text: str, today: date) -> Value | Fault:
    word = text.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    return Fault(
        field.name,
        FaultCode.UNKNOWN_CHOICE,
        f"{field.ru}: нужно «да» или «нет»",
        f"{field.en}: yes or no is expected",
    )


def _choice(field: Field, text: str, today: date) -> Value | Fault:
    chosen = field.choice_of.get(header_key(text.removesuffix("%")))
    if chosen is not None:
        return chosen
    return Fault(
        field.name,
        FaultCode.UNKNOWN_CHOICE,
        f"{field.ru}: возможно одно из: {'; '.join(c.ru for c in field.choices)}",
        f"{field.en}: one of: {'; '.join(c.en for c in field.choices)}",
    )


def _list(field: Field, text: str, today: date) -> Value | Fault:
    items = tuple(item for item in re.split(r"[,;\s]+", text) if item)
    wrong = next((item for item in items if not _CODE.fullmatch(item)), None)
    if wrong is not None or len(items) > LIST_ITEMS_MAX:
        return Fault(
            field.name,
            FaultCode.WRONG_CHARACTERS,
            f"{field.ru}: нужны коды через запятую, не больше {LIST_ITEMS_MAX}",
            f"{field.en}: codes separated by commas are expected, at most {LIST_ITEMS_MAX}",
        )
    return items


def _gar(field: Field, text: str, today: date) -> Value | Fault:
    try:
        return str(UUID(text))
    except ValueError:
        return Fault(
            field.name,
            FaultCode.WRONG_CHARACTERS,
            f"{field.ru}: нужен код вида 0c5b2444-70a0-4932-980c-b4dc0d3f02b5",
            f"{field.en}: a code such as 0c5b2444-70a0-4932-980c-b4dc0d3f02b5 is expected",
        )


def _mkb(field: Field, text: str, today: date) -> Value | Fault:
    code = text.upper().translate(_LOOKALIKES)
    if not _MKB.fullmatch(code):
        return Fault(
            field.name,
            FaultCode.WRONG_CHARACTERS,
            f"{field.ru}: нужен код МКБ-10, например I10 или E11.9",
            f"{field.en}: an ICD-10 code such as I10 or E11.9 is expected",
        )
    return code


def _identifier(read: Callable[[str], str]) -> Callable[[Field, str, date], Value | Fault]:
    """Return a reader that has `read` check the number and words its objection as a fault."""

    def read_number(field: Field, text: str, today: date) -> Value | Fault:
        try:
            return read(text)
        except IdentifierError as error:
            return Fault(field.name, FaultCode.WRONG_DIGITS, error.ru, f"{field.en}: {error.en}")

    return read_number


def _person_inn(text: str) -> str:
    digits = read_inn(text)
    if len(digits) == 12:
        return digits
    raise IdentifierError(
        "inn",
        "ИНН: у человека двенадцать цифр, десять бывает у организации",
        "a person's has twelve digits, ten are an organisation's",
    )


_READERS: Final[Mapping[FieldType, Callable[[Field, str, date], Value | Fault]]] = {
    FieldType.TEXT: _text,
    FieldType.PERSON_NAME: _person_name,
    FieldType.CODE: _code,
    FieldType.NUMBER: _number,
    FieldType.DIGITS: _digits,
    FieldType.INTEGER: _integer,
    FieldType.ROUBLES: _roubles,
    FieldType.SQUARE_METRES: _square_metres,
    FieldType.DATE: _date,
    FieldType.MONTH: _month,
    FieldType.FLAG: _flag,
    FieldType.CHOICE: _choice,
    FieldType.LIST: _list,
    FieldType.GAR: _gar,
    FieldType.MKB: _mkb,
    FieldType.SNILS: _identifier(read_snils),
    FieldType.ENP: _identifier(read_enp),
    FieldType.INN: _identifier(_person_inn),
}
