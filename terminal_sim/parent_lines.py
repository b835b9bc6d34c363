"""The lines of a completion or a return, counted along those of the transaction before it.

A line that is left out has quantity 0; the centre matches lines by their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from processing.wire.figures import format_kopecks, format_quantity
from processing.wire.parameter_file import ItemParameters, ParameterFile
from processing.wire.transaction import Line
from terminal_sim.money import (
    line_price,
    parse_kopecks,
    parse_quantity,
)
from terminal_sim.order import OrderError, known_item, split_word


def less(lines: Sequence[Line], taken: Iterable[Sequence[Line]]) -> tuple[Line, ...]:
    """Return what is left of lines after others, counted along them, were taken from them."""
    left = list(lines)
    for gone in taken:
        for number, line in enumerate(gone[: len(left)]):
            before = left[number]
            left[number] = msgspec.structs.replace(
                before,
                quantity=max(before.quantity - line.quantity, 0),
                gross_kopecks=max(before.gross_kopecks - line.gross_kopecks, 0),
            )
    return tuple(left)


def chosen(
    words: Sequence[str], left: Sequence[Line], parameters: ParameterFile
) -> tuple[Line, ...]:
    """Return the lines that words such as ENALAPRIL-10-20=1 choose of what is left.

    Without words, all that is left. A quantity left out is all of its line; a price left out is
    the line's own. Raises `OrderError` when there is less, and `NumberError`.
    """
    if not any(line.quantity for line in left):
        raise OrderError(
            "В этой операции больше ничего не осталось", "nothing is left of this transaction"
        )
    if not words:
        return _trimmed(left)
    items = {item.item: item for item in parameters.items}
    picked: dict[int, Line] = {}
    for word in words:
        name, quantity, price = split_word(word)
        item = known_item(name, items)
        number = _number_of(item.item, left, picked)
        picked[number] = _part(left[number], item, quantity, price)
    return _trimmed(
        [
            picked.get(number, msgspec.structs.replace(line, quantity=0, gross_kopecks=0))
            for number, line in enumerate(left)
        ]
    )


def _number_of(item: str, left: Sequence[Line], picked: dict[int, Line]) -> int:
    for number, line in enumerate(left):
        if line.item == item and line.quantity and number not in picked:
            return number
    listed = ", ".join(line.item for line in left if line.quantity)
    raise OrderError(
        f"Товара {item} в этой операции нет. Осталось: {listed}",
        f"there is no {item} in this transaction. Left are: {listed}",
    )


def _part(line: Line, item: ItemParameters, quantity: str | None, price: str | None) -> Line:
    """Return as much of a line as was named; its price in proportion, half-up, unless named."""
    wanted = parse_quantity(quantity, item.scale) if quantity else line.quantity
    if wanted > line.quantity:
        most = format_quantity(line.quantity, line.scale)
        raise OrderError(
            f"{line.item}: осталось {most}. Больше — отдельной операцией",
            f"{line.item}: {most} are left. More is a transaction of its own",
        )
    gross_kopecks = (line.gross_kopecks * wanted * 2 + line.quantity) // (line.quantity * 2)
    if price:
        gross_kopecks = line_price(wanted, item.scale, parse_kopecks(price))
    if gross_kopecks > line.gross_kopecks:
        most = format_kopecks(line.gross_kopecks)
        raise OrderError(
            f"{line.item}: стоимость не больше {most}", f"{line.item}: the price is at most {most}"
        )
    return msgspec.structs.replace(line, quantity=wanted, gross_kopecks=gross_kopecks)


def _trimmed(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return the lines without those at the end of which there is nothing."""
    count = max(number for number, line in enumerate(lines, 1) if line.quantity)
    return tuple(lines[:count])
