"""Lines of goods divided among allowances: the arithmetic of docs/kinds.md, for the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID


@dataclass(frozen=True)
class Part:
    """A share of one line, drawn on one allowance or covered by nobody."""

    line_no: int
    item: str
    quantity: int
    gross: int
    covered: int = 0
    debited: int = 0
    percent: int = 0
    cap: int | None = None
    counter: tuple[UUID, date] | None = None


def covered_upto(
    upto: int, gross: int, quantity: int, cap_kopecks: int | None, percent: int
) -> int:
    """Return what is covered of the first `upto` kopecks of a line's price, rounded half-up once.

    The cap cuts the whole price, and every part of it in proportion.
    """
    if cap_kopecks is None or gross <= cap_kopecks * quantity:
        return (upto * percent + 50) // 100
    return (2 * cap_kopecks * quantity * percent * upto + 100 * gross) // (200 * gross)


def cut(parts: list[Part], quantity: int, gross: int, *, back: bool = False) -> list[Part]:
    """Return what would stand of one line's parts if so much less had been sold.

    They are filled from the first. A part that is kept whole keeps its amounts. Of a return
    (`back`) covered falls by no more than the price that is brought back.
    """
    kept = []
    left_quantity, before = quantity, 0
    for part in parts:
        part_quantity = min(left_quantity, part.quantity)
        part_gross = min(gross - before, part.gross)
        left_quantity -= part_quantity
        covered = part.covered
        if (part_quantity, part_gross) != (part.quantity, part.gross):
            rule = (gross, quantity, part.cap, part.percent)
            covered = 0
            if part_quantity and part_gross:
                covered = covered_upto(before + part_gross, *rule) - covered_upto(before, *rule)
            covered = min(covered, part.covered)
            if back:
                covered = max(covered, part.covered - (part.gross - part_gross))
        before += part_gross
        kept.append(
            replace(
                part,
                quantity=part_quantity,
                gross=part_gross,
                covered=covered,
                debited=part_quantity if part.counter else 0,
            )
        )
    return kept


def difference(before: list[Part], after: list[Part]) -> list[Part]:
    """Return, part by part, what went from `before` to `after`."""
    return [
        replace(
            one,
            quantity=one.quantity - other.quantity,
            gross=one.gross - other.gross,
            covered=one.covered - other.covered,
            debited=one.debited - other.debited,
        )
        for one, other in zip(before, after, strict=True)
    ]


def merged(parts: list[Part], more: list[Part]) -> list[Part]:
    """Return the parts with what had gone from them added again."""
    return [
        replace(
            one,
            quantity=one.quantity + other.quantity,
            gross=one.gross + other.gross,
            covered=one.covered + other.covered,
            debited=one.debited + other.debited,
        )
        for one, other in zip(parts, more, strict=True)
    ]


def amounts_of(parts: Iterable[Part]) -> list[tuple[int, int]]:
    """Return covered and paid kopecks of each line."""
    lines: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for part in parts:
        lines[part.line_no][0] += part.covered
        lines[part.line_no][1] += part.gross - part.covered
    return [(covered, paid) for _, (covered, paid) in sorted(lines.items())]
