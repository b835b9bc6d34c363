"""Numbers with check digits: СНИЛС, ЕНП, ИНН and the social card's number.

`read_*` takes what a person typed and returns bare digits, or raises `IdentifierError` that says
in Russian and English what is wrong. `make_*` builds a number from its parts and adds the check
digits. Rules:

- СНИЛС: Σ dᵢ·(10−i) over the nine digits, mod 101 mod 100; numbers up to 001-001-998 carry none;
- ИНН: the Federal Tax Service's weights, mod 11 mod 10, one check digit of 10 or two of 12;
- ЕНП: order of the Ministry of Health No 29n of 2011: region, month, year and day of birth as
  complements to nine, serial number, Luhn digit;
- card: 964390, two digits of region, ten random digits, Luhn digit (ISO/IEC 7812-1, annex B).
"""

from __future__ import annotations

from datetime import date
from operator import mul
from typing import ClassVar, Final, Literal

from processing.kernel.errors import SpkError

SNILS_UNCHECKED_MAX: Final = 1_001_998
"""СНИЛС numbers up to 001-001-998 were given out before check digits were."""

CARD_ISSUER: Final = "964390"
"""First six digits of every social card's number."""

CARD_SERIAL_DIGITS: Final = 10
ENP_SERIAL_DIGITS: Final = 5
INN_OFFICE_DIGITS: Final = 4

TYPED_CHARACTERS_MAX: Final = 64
"""Longest text looked at as a number somebody typed."""

_SNILS_WEIGHTS: Final = (9, 8, 7, 6, 5, 4, 3, 2, 1)
_INN_10_WEIGHTS: Final = (2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_12_FIRST_WEIGHTS: Final = (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN_12_SECOND_WEIGHTS: Final = (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)
_LUHN_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

Sex = Literal["m", "f"]


class IdentifierError(SpkError):
    """A number that cannot be right. `field` names it; `ru` and `en` say what is wrong with it.

    The number itself is not in the texts, so they may be shown and logged.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, field: str, ru: str, en: str) -> None:
        super().__init__(f"{field}: {en}")
        self.field = field
        self.ru = ru
        self.en = en


def luhn_digit(digits: str) -> str:
    """Return the Luhn check digit that follows `digits` (ISO/IEC 7812-1, annex B)."""
    values = [int(digit) for digit in digits]
    total = sum(values[-2::-2]) + sum([_LUHN_DOUBLED[value] for value in values[::-2]])
    return str(-total % 10)


def snils_check(number: str) -> str:
    """Return the two check digits of a СНИЛС from its nine digits."""
    total = sum(map(mul, map(int, number), _SNILS_WEIGHTS))
    return f"{total % 101 % 100:02d}"


def inn_check(digits: str) -> str:
    """Return the check digits of an ИНН: one after nine digits, two after ten."""
    if len(digits) == 9:
        return _weighted_digit(digits, _INN_10_WEIGHTS)
    first = _weighted_digit(digits, _INN_12_FIRST_WEIGHTS)
    return first + _weighted_digit(digits + first, _INN_12_SECOND_WEIGHTS)


def make_snils(number: int) -> str:
    """Return the eleven digits of the СНИЛС with the nine-digit `number`."""
    _require(1 <= number <= 999_999_999, "number", "1 to 999999999")
    digits = f"{number:09d}"
    return digits + ("00" if number <= SNILS_UNCHECKED_MAX else snils_check(digits))


def make_enp(region: int, birth_date: date, sex: Sex, serial: int) -> str:
    """Return the sixteen digits of a policy number issued in `region` (two digits).

    `serial` (0 to 99999) tells apart people of one region, birth date and sex.
    """
    _require(0 <= region <= 99, "region", "0 to 99")
    _require(0 <= serial < 10**ENP_SERIAL_DIGITS, "serial", "0 to 99999")
    digits = f"{region:02d}{_enp_birth(birth_date, sex)}{serial:05d}"
    return digits + luhn_digit(digits)


def make_person_inn(office: int, serial: int) -> str:
    """Return the twelve digits of a person's ИНН: tax `office` (0 to 9999), six-digit `serial`."""
    _require(0 <= office <= 9999, "office", "0 to 9999")
    _require(0 <= serial <= 999_999, "serial", "0 to 999999")
    digits = f"{office:04d}{serial:06d}"
    return digits + inn_check(digits)


def make_organisation_inn(office: int, serial: int) -> str:
    """Return an organisation's ten-digit ИНН: tax `office` (0 to 9999), five-digit `serial`."""
    _require(0 <= office <= 9999, "office", "0 to 9999")
    _require(0 <= serial <= 99_999, "serial", "0 to 99999")
    digits = f"{office:04d}{serial:05d}"
    return digits + inn_check(digits)


def make_card_number(region: int, serial: int) -> str:
    """Return a card's nineteen digits; `serial` (ten digits) is to be drawn at random."""
    _require(1 <= region <= 99, "region", "1 to 99")
    _require(0 <= serial < 10**CARD_SERIAL_DIGITS, "serial", "0 to 9999999999")
    digits = f"{CARD_ISSUER}{region:02d}{serial:010d}"
    return digits + luhn_digit(digits)


def read_snils(text: str) -> str:
    """Return the eleven digits of a typed СНИЛС ("112-233-445 95"); raises `IdentifierError`."""
    digits = _digits(text, "snils", "СНИЛС", (11,))
    unchecked = int(digits[:9]) <= SNILS_UNCHECKED_MAX
    if digits[:9] == "000000000" or (not unchecked and snils_check(digits[:9]) != digits[9:]):
        raise _wrong_check("snils", "СНИЛС")
    return digits


def read_enp(text: str) -> str:
    """Return the sixteen digits of a typed policy number; raises `IdentifierError`."""
    digits = _digits(text, "enp", "Номер полиса ОМС (ЕНП)", (16,))
    if luhn_digit(digits[:-1]) != digits[-1]:
        raise _wrong_check("enp", "Номер полиса ОМС (ЕНП)")
    return digits


def read_inn(text: str) -> str:
    """Return the ten or twelve digits of a typed ИНН; raises `IdentifierError`."""
    digits = _digits(text, "inn", "ИНН", (10, 12))
    body = digits[: 9 if len(digits) == 10 else 10]
    # All zeros satisfy the weights, yet no tax office is numbered 0000.
    if body.startswith("0000") or body + inn_check(body) != digits:
        raise _wrong_check("inn", "ИНН")
    return digits


def read_card_number(text: str) -> str:
    """Return the nineteen digits of a typed card number; raises `IdentifierError`."""
    digits = _digits(text, "card_number", "Номер карты", (19,))
    if not digits.startswith(CARD_ISSUER):
        raise IdentifierError(
            "card_number",
            f"Номер социальной карты начинается с {CARD_ISSUER}; проверьте, та ли это карта",
            f"a social card's number starts with {CARD_ISSUER}; check that this is such a card",
        )
    if luhn_digit(digits[:-1]) != digits[-1]:
        raise _wrong_check("card_number", "Номер карты")
    return digits


def enp_fits(enp: str, birth_date: date, sex: Sex) -> bool:
    """Tell whether a policy number carries this birth date and sex (its digits 3 to 10)."""
    return enp[2:10] == _enp_birth(birth_date, sex)


def show_snils(snils: str) -> str:
    """Return eleven digits as people write them: 112-233-445 95."""
    return f"{snils[:3]}-{snils[3:6]}-{snils[6:9]} {snils[9:]}"


def _weighted_digit(digits: str, weights: tuple[int, ...]) -> str:
    total = sum(map(mul, map(int, digits), weights))
    return str(total % 11 % 10)


def _enp_birth(birth_date: date, sex: Sex) -> str:
    """Month (+20 up to 1950, +40 up to 2000), year backwards, day (+50 for men), 9 minus each."""
    year = birth_date.year
    month = birth_date.month + (20 if year <= 1950 else 40 if year <= 2000 else 0)
    day = birth_date.day + (50 if sex == "m" else 0)
    plain = f"{month:02d}{f'{year:04d}'[::-1]}{day:02d}"
    return f"{99_999_999 - int(plain):08d}"


def _digits(text: str, field: str, name_ru: str, lengths: tuple[int, ...]) -> str:
    """Return `text` without spaces and hyphens when it is one of `lengths` ASCII digits long."""
    bare = "".join(c for c in text[:TYPED_CHARACTERS_MAX] if c not in " -\u00a0\u2011\u2013")
    if not (bare.isascii() and bare.isdigit()):
        raise IdentifierError(
            field,
            f"{name_ru}: нужны только цифры, пробелы и дефисы",
            "only digits, spaces and hyphens are expected",
        )
    if len(bare) not in lengths or len(text) > TYPED_CHARACTERS_MAX:
        wanted = [str(length) for length in lengths]
        raise IdentifierError(
            field,
            f"{name_ru}: нужно цифр: {' или '.join(wanted)}; введено: {len(bare)}",
            f"{' or '.join(wanted)} digits are expected, {len(bare)} were given",
        )
    return bare


def _wrong_check(field: str, name_ru: str) -> IdentifierError:
    return IdentifierError(
        field,
        f"{name_ru}: контрольная цифра не сходится; сверьте номер с документом",
        "the check digit does not fit; compare the number with the document",
    )


def _require(sound: bool, name: str, expected: str) -> None:
    if not sound:
        raise ValueError(f"{name}: {expected} expected")
