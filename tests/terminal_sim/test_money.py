"""Prices and quantities: exact both ways, and refused where they would have to be rounded."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.wire.figures import format_kopecks, format_quantity
from processing.wire.transaction import AMOUNT_MAX_KOPECKS
from terminal_sim.money import (
    NumberError,
    line_price,
    parse_kopecks,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("text", "kopecks"),
    [
        ("0", 0),
        ("145.50", 14_550),
        ("145,50", 14_550),
        ("145,5", 14_550),
        ("145.500", 14_550),
        ("0.01", 1),
        ("1 234,56", 123_456),
        ("1\u00a0234\u00a0567", 123_456_700),
        (" 7 ", 700),
        ("9999999999.99", AMOUNT_MAX_KOPECKS),
    ],
)
def test_prices_that_people_write(text: str, kopecks: int) -> None:
    assert parse_kopecks(text) == kopecks


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "+1", "1.005", "1e3", "0x10", "1.", ".5", "1,2,3", "12 34", "١٢", "1_000"),
        *("NaN", "1.5 ₽", "1\n2", "10000000000.00", "9" * 40),
    ],
)
def test_prices_that_are_refused(text: str) -> None:
    with pytest.raises(NumberError) as caught:
        parse_kopecks(text)
    assert text in caught.value.text("ru")
    assert text in caught.value.text("en")


@given(st.integers(0, AMOUNT_MAX_KOPECKS))
def test_what_is_shown_can_be_typed(kopecks: int) -> None:
    shown = format_kopecks(kopecks).removesuffix("\u00a0₽")
    assert parse_kopecks(shown) == kopecks


@given(st.integers(1, 10**10 - 1), st.integers(0, 6))
def test_a_shown_quantity_can_be_typed(quantity: int, scale: int) -> None:
    assert parse_quantity(format_quantity(quantity, scale), scale) == quantity


@pytest.mark.parametrize(("text", "scale"), [("0", 0), ("1.5", 0), ("0.0001", 3), ("9" * 11, 0)])
def test_quantities_that_are_refused(text: str, scale: int) -> None:
    with pytest.raises(NumberError):
        parse_quantity(text, scale)


@given(st.integers(1, 10**10 - 1), st.integers(0, 6), st.integers(0, 10**8))
def test_a_lines_price_is_rounded_half_up_once(quantity: int, scale: int, price: int) -> None:
    exact = Decimal(quantity) * price / 10**scale
    assert line_price(quantity, scale, price) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@pytest.mark.parametrize(
    ("kopecks", "shown"),
    [
        (0, "0,00 ₽"),
        (123_456, "1 234,56 ₽"),
        (100_000_005, "1 000 000,05 ₽"),
        (-29_100, "−291,00 ₽"),
    ],
)
def test_amounts_as_people_read_them(kopecks: int, shown: str) -> None:
    assert format_kopecks(kopecks).replace("\u00a0", " ") == shown
