"""Prices and quantities between people and integers: exact, never through a float.

People may write a comma or a point, spaces between thousands, and nothing else. What cannot be
said in whole kopecks, or in whole smallest units of an item, is refused, never rounded.
"""

from __future__ import annotations

import re
from typing import Final

from processing.wire.figures import KOPECK_SCALE
from processing.wire.transaction import AMOUNT_MAX_KOPECKS, QUANTITY_MAX
from terminal_sim.errors import TerminalError

_NUMBER: Final = re.compile(r"([0-9]{1,3}(?:[ \u00a0][0-9]{3})+|[0-9]{1,15})(?:[.,]([0-9]{1,9}))?")
_NO_BREAK_SPACE: Final = "\u00a0"


class NumberError(TerminalError):
    """A price or quantity that cannot be taken; the message says why."""


def parse_kopecks(text: str) -> int:
    """Return a price such as "145.50", "1 234,5" or "90" in kopecks. Raises `NumberError`."""
    amount_kopecks = parse_scaled(text, KOPECK_SCALE)
    if amount_kopecks > AMOUNT_MAX_KOPECKS:
        raise NumberError(f"Сумма «{text}» слишком велика", f"the amount “{text}” is too large")
    return amount_kopecks


def parse_quantity(text: str, scale: int) -> int:
    """Return a quantity in the item's smallest units: "12.5" with scale 3 is 12 500.

    Raises `NumberError` for zero, for more than the wire carries, and for decimals that the item
    does not have.
    """
    quantity = parse_scaled(text, scale)
    if not 0 < quantity <= QUANTITY_MAX:
        raise NumberError(
            f"Количество «{text}» должно быть больше нуля и не длиннее 10 цифр",
            f"the quantity “{text}” must be above zero and within 10 digits",
        )
    return quantity


def parse_scaled(text: str, scale: int) -> int:
    """Return a decimal number times `10**scale`. Raises `NumberError` unless that is whole."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise NumberError(
            f"«{text}» — не число: ожидается, например, 145,50",
            f"“{text}” is no number: expected, for example, 145.50",
        )
    whole = match[1].replace(" ", "").replace(_NO_BREAK_SPACE, "")
    decimals = (match[2] or "").rstrip("0")
    if len(decimals) > scale:
        raise NumberError(
            f"В «{text}» знаков после запятой больше, чем допускается ({scale})",
            f"“{text}” has more decimals than are allowed ({scale})",
        )
    return int(whole + decimals.ljust(scale, "0"))


def line_price(quantity: int, scale: int, price_kopecks: int) -> int:
    """Return the price of a line in kopecks, half-up: `quantity / 10**scale` units at a price."""
    unit = int(10**scale)
    return (quantity * price_kopecks * 2 + unit) // (unit * 2)
