"""What the protocol's histories are drawn from: goods, shares of goods, and what may be wrong."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from hypothesis import strategies as st

from processing.authorization.model import Proof
from processing.wire.transaction import Evidence, Line

Share = Callable[[tuple[Line, ...]], tuple[Line, ...]]
"""Makes of what was reserved or sold what is given or brought back."""


def whole(goods: tuple[Line, ...]) -> tuple[Line, ...]:
    """All of it."""
    return goods


def half(goods: tuple[Line, ...]) -> tuple[Line, ...]:
    """Half of each line, rounded up."""
    return tuple(
        msgspec.structs.replace(
            line,
            quantity=(line.quantity + 1) // 2,
            gross_kopecks=line.gross_kopecks * ((line.quantity + 1) // 2) // max(1, line.quantity),
        )
        for line in goods
    )


def one_piece(goods: tuple[Line, ...]) -> tuple[Line, ...]:
    """One piece of the first line, and nothing of the others."""
    first, *others = goods
    some = min(1, first.quantity)
    price = first.gross_kopecks if first.quantity <= 1 else first.gross_kopecks // first.quantity
    return (
        msgspec.structs.replace(first, quantity=some, gross_kopecks=price),
        *(msgspec.structs.replace(line, quantity=0, gross_kopecks=0) for line in others),
    )


def first_line(goods: tuple[Line, ...]) -> tuple[Line, ...]:
    """The first line only."""
    return goods[:1]


def nothing(goods: tuple[Line, ...]) -> tuple[Line, ...]:
    """Nothing at all of the first line."""
    return (msgspec.structs.replace(goods[0], quantity=0, gross_kopecks=0),)


def more(goods: tuple[Line, ...]) -> tuple[Line, ...]:
    """A piece more of the last line than there was."""
    *others, last = goods
    return (*others, msgspec.structs.replace(last, quantity=last.quantity + 1))


shares = st.sampled_from([whole, half, one_piece, first_line, nothing, more])
hours_ago = st.sampled_from([0, 3, 30])
cards = st.sampled_from([0, 0, 1, 2])
shops = st.integers(0, 1)
lines = st.lists(
    st.builds(
        lambda item, quantity, price: Line(item, quantity, 796, 0, price),
        st.sampled_from(["PILL", "PILL", "SYRUP", "SALVE"]),
        st.integers(1, 4),
        st.sampled_from([100, 0, 1, 99, 3_333, 10_001]),
    ),
    min_size=1,
    max_size=2,
).map(tuple)
oddities = st.sampled_from(
    [
        {"service": "PART"},
        {"service": "STRICT"},
        {"service": "STRICT", "evidence": Evidence.PIN},
        {"service": "OLD"},
        {"service": "AWAY"},
        {"service": "NONE"},
        {"service_version": 9},
        {"minutes": 16},
        {"minutes": -16},
        {"days": -3},
        {"days": -4},
        {"days": 1},
        {"days": 2},
        {"proof": Proof.WRONG},
        {"proof": Proof.CARD_UNKNOWN},
        {"for_maria": True},
    ]
)
