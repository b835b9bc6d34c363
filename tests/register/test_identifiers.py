"""Check digits: published numbers, the errors they promise to catch, and what people type."""

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.register.identifiers import (
    CARD_ISSUER,
    IdentifierError,
    Sex,
    enp_fits,
    inn_check,
    luhn_digit,
    make_card_number,
    make_enp,
    make_organisation_inn,
    make_person_inn,
    make_snils,
    read_card_number,
    read_enp,
    read_inn,
    read_snils,
    show_snils,
    snils_check,
)

digit = st.integers(0, 9)
sexes: st.SearchStrategy[Sex] = st.sampled_from(["m", "f"])
births = st.dates(date(1900, 1, 1), date(2099, 12, 31))


def digits_of(length: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=length, max_size=length)


def changed(number: str, place: int, by: int) -> str:
    """Return `number` with the digit at `place` raised by `by` (1 to 9), modulo ten."""
    wrong = (int(number[place]) + by) % 10
    return f"{number[:place]}{wrong}{number[place + 1 :]}"


@pytest.mark.parametrize(
    ("number", "check"),
    [
        ("112233445", "95"),  # the Pension Fund's own example
        ("087654303", "00"),  # the sum is 202: 0 after mod 101
        ("087654302", "00"),  # the sum is 201: 100, which does not fit two digits
        ("087654301", "99"),
        ("123456789", "64"),  # the sum is 165
        ("001001999", "65"),
    ],
)
def test_snils_check_digits(number: str, check: str) -> None:
    assert snils_check(number) == check
    assert make_snils(int(number)) == number + check


@pytest.mark.parametrize(
    "inn",
    [
        "7707083893",  # Sberbank
        "7736050003",  # Gazprom
        "7707049388",  # Rostelecom
        "500100732259",  # the Federal Tax Service's example of a person
    ],
)
def test_published_inn(inn: str) -> None:
    assert read_inn(inn) == inn


@pytest.mark.parametrize(
    ("digits", "check"),
    [
        ("7992739871", "3"),  # the usual example of Luhn's algorithm
        ("411111111111111", "1"),
        ("37828224631000", "5"),
        ("0", "0"),
        ("5", "9"),
    ],
)
def test_luhn_digit(digits: str, check: str) -> None:
    assert luhn_digit(digits) == check


@pytest.mark.parametrize(
    ("birth_date", "sex", "birth_digits"),
    [
        # worked out by hand: month, year backwards, day, then nine minus each digit
        (date(1951, 4, 17), "f", "55840882"),  # 44 1591 17
        (date(1950, 4, 17), "f", "75940882"),  # 24 0591 17
        (date(1983, 2, 11), "m", "57610838"),  # 42 3891 61
        (date(2018, 10, 5), "m", "89189744"),  # 10 8102 55
        (date(2000, 12, 31), "f", "47999768"),  # 52 0002 31
        (date(2001, 1, 1), "m", "98899748"),  # 01 1002 51
    ],
)
def test_enp_carries_birth_date_and_sex(birth_date: date, sex: Sex, birth_digits: str) -> None:
    enp = make_enp(99, birth_date, sex, 123)
    assert enp[2:10] == birth_digits
    assert enp[10:15] == "00123"
    assert enp_fits(enp, birth_date, sex)


def enp_check_by_the_order(digits: str) -> str:
    """The check digit in the words of order No 29n, which speaks of two written numbers."""
    from_right = digits[::-1]
    odd, even = from_right[0::2], from_right[1::2]
    total = sum(int(digit) for digit in even + str(int(odd) * 2))
    return str(-total % 10)


@given(digits_of(15))
def test_luhn_is_the_order_s_check_digit(digits: str) -> None:
    assert luhn_digit(digits) == enp_check_by_the_order(digits)


@given(digits_of(15), st.integers(0, 15), st.integers(1, 9))
def test_a_changed_digit_of_a_policy_number_is_caught(digits: str, place: int, by: int) -> None:
    enp = digits + luhn_digit(digits)
    assert read_enp(enp) == enp
    with pytest.raises(IdentifierError):
        read_enp(changed(enp, place, by))


@given(st.integers(1_001_999, 999_999_999), st.integers(0, 10), st.integers(1, 9))
def test_a_changed_digit_of_a_snils_is_caught(number: int, place: int, by: int) -> None:
    snils = make_snils(number)
    wrong = changed(snils, place, by)
    # Sums of 100 and of 101 both give 00: only a step between them goes unseen.
    sums = {sum(int(d) * (9 - i) for i, d in enumerate(n[:9])) % 101 for n in (snils, wrong)}
    if sums == {100, 0} or int(wrong[:9]) <= 1_001_998:
        return
    assert read_snils(snils) == snils
    with pytest.raises(IdentifierError):
        read_snils(wrong)


def inn_remainders(inn: str) -> set[int]:
    weights = {10: [(2, 4, 10, 3, 5, 9, 4, 6, 8)]}.get(
        len(inn), [(7, 2, 4, 10, 3, 5, 9, 4, 6, 8), (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)]
    )
    return {
        sum(int(d) * weight for d, weight in zip(inn, row, strict=False)) % 11 for row in weights
    }


@given(st.integers(1, 9999), st.integers(0, 99_999), st.booleans(), st.data())
def test_a_changed_digit_of_an_inn_is_caught(
    office: int, serial: int, person: bool, data: st.DataObject
) -> None:
    inn = make_person_inn(office, serial) if person else make_organisation_inn(office, serial)
    wrong = changed(inn, data.draw(st.integers(0, len(inn) - 1)), data.draw(st.integers(1, 9)))
    # Remainders 0 and 10 give the same digit; every other change of one digit shows.
    if {0, 10} <= inn_remainders(inn) | inn_remainders(wrong):
        return
    assert read_inn(inn) == inn
    with pytest.raises(IdentifierError):
        read_inn(wrong)


@given(st.integers(1, 99), st.integers(0, 10**10 - 1), st.integers(6, 18), st.integers(1, 9))
def test_a_changed_digit_of_a_card_number_is_caught(
    region: int, serial: int, place: int, by: int
) -> None:
    number = make_card_number(region, serial)
    assert len(number) == 19
    assert number.startswith(f"{CARD_ISSUER}{region:02d}")
    assert read_card_number(number) == number
    with pytest.raises(IdentifierError):
        read_card_number(changed(number, place, by))


@given(births, sexes, st.integers(0, 99), st.integers(0, 99_999))
def test_a_policy_number_tells_people_apart(
    birth_date: date, sex: Sex, region: int, serial: int
) -> None:
    enp = make_enp(region, birth_date, sex, serial)
    assert read_enp(enp) == enp
    assert enp_fits(enp, birth_date, sex)
    assert not enp_fits(enp, birth_date, "m" if sex == "f" else "f")
    other_month = birth_date.replace(month=birth_date.month % 12 + 1, day=1)
    assert not enp_fits(enp, other_month, sex)


@pytest.mark.parametrize(
    ("typed", "snils"),
    [
        ("112-233-445 95", "11223344595"),
        ("11223344595", "11223344595"),
        (" 112 233 445 95 ", "11223344595"),
        ("112–233–445\u00a095", "11223344595"),
        ("001-001-998 42", "00100199842"),  # too old for check digits
    ],
)
def test_typed_snils_are_read(typed: str, snils: str) -> None:
    assert read_snils(typed) == snils


@given(st.integers(1, 999_999_999))
def test_a_shown_snils_is_read_again(number: int) -> None:
    snils = make_snils(number)
    assert read_snils(show_snils(snils)) == snils


@pytest.mark.parametrize(
    ("read", "typed", "field", "ru", "en"),
    [
        (read_snils, "112-233-445 96", "snils", "контрольная цифра", "check digit"),
        (read_snils, "000-000-000 00", "snils", "контрольная цифра", "check digit"),
        (read_snils, "112-233-445", "snils", "нужно цифр: 11; введено: 9", "11 digits"),
        (read_snils, "", "snils", "только цифры", "only digits"),
        (read_snils, "1122334459O", "snils", "только цифры", "only digits"),
        (read_snils, "١١٢٢٣٣٤٤٥٩٥", "snils", "только цифры", "only digits"),
        (read_snils, "11223344595" + " " * 90 + "1", "snils", "нужно цифр", "digits are expected"),
        (read_enp, "9955840882999994", "enp", "контрольная цифра", "check digit"),
        (read_enp, "12345", "enp", "нужно цифр: 16", "16 digits"),
        (read_inn, "7707083894", "inn", "контрольная цифра", "check digit"),
        (read_inn, "0000000000", "inn", "контрольная цифра", "check digit"),
        (read_inn, "77070838931", "inn", "10 или 12", "10 or 12"),
        (read_card_number, "4276000000000000000", "card_number", "964390", "964390"),
        (read_card_number, "9643909900000000002", "card_number", "контрольная", "check digit"),
    ],
)
def test_wrong_numbers_are_explained(
    read: Callable[[str], str], typed: str, field: str, ru: str, en: str
) -> None:
    with pytest.raises(IdentifierError) as raised:
        read(typed)
    assert raised.value.field == field
    assert ru in raised.value.ru
    assert en in raised.value.en
    assert str(raised.value) == f"{field}: {raised.value.en}"


@given(st.text(max_size=40), st.sampled_from([read_snils, read_enp, read_inn, read_card_number]))
def test_any_text_is_read_or_refused_without_being_repeated(
    typed: str, read: Callable[[str], str]
) -> None:
    refusal = None
    number = "0"
    try:
        number = read(typed)
    except IdentifierError as error:
        refusal = error
    assert number.isascii()
    assert number.isdigit()
    assert refusal is None or len(typed) < 4 or typed not in refusal.ru + refusal.en


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_snils(0),
        lambda: make_snils(10**9),
        lambda: make_enp(100, date(2000, 1, 1), "f", 0),
        lambda: make_enp(1, date(2000, 1, 1), "f", 100_000),
        lambda: make_person_inn(10_000, 0),
        lambda: make_person_inn(1, 10**6),
        lambda: make_organisation_inn(1, 10**5),
        lambda: make_card_number(0, 0),
        lambda: make_card_number(1, 10**10),
    ],
)
def test_parts_out_of_range_are_refused(make: Callable[[], str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()


@given(digits_of(9), digits_of(10))
def test_inn_check_lengths(nine: str, ten: str) -> None:
    assert len(inn_check(nine)) == 1
    assert len(inn_check(ten)) == 2
