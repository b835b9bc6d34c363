"""Drawing at random, so that the same seed gives the same region on every Python.

Only `random()` and `getrandbits()` are used: their sequences are promised not to change.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Final, Generic, TypeVar

Thing = TypeVar("Thing")

ID_EPOCH_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: the time that stands in the first identifier of every region."""


class Weighted(Generic[Thing]):
    """Things with weights above zero, to be drawn in proportion to them."""

    def __init__(self, things: Sequence[Thing], weights: Sequence[float]) -> None:
        self.things = tuple(things)
        self._bounds = tuple(accumulate(weights))
        self._total = self._bounds[-1]

    def pick(self, random: float) -> Thing:
        """Return the thing at `random` (0 to below 1) of the total weight."""
        return self.things[bisect(self._bounds, random * self._total)]


class Chance:
    """One stream of chances."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.fraction = self._random.random
        self._bits = self._random.getrandbits
        self._ids = 0

    def one_of(self, choice: Weighted[Thing]) -> Thing:
        """Draw by weight."""
        return choice.pick(self.fraction())

    def any_of(self, things: Sequence[Thing]) -> Thing:
        """Draw one of equals."""
        return things[int(self.fraction() * len(things))]

    def between(self, low: int, high: int) -> int:
        """Draw a whole number from `low` to `high`, both included; `low` when high is below it."""
        return low + int(self.fraction() * (high - low + 1)) if high > low else low

    def happens(self, share: float) -> bool:
        """Tell whether something happens that does so in `share` of all cases."""
        return self.fraction() < share

    def next_id(self) -> bytes:
        """Draw a new identifier shaped as UUIDv7 (RFC 9562); each is later than the one before."""
        self._ids += 1
        return uuid7_shape(ID_EPOCH_MS + self._ids, self._bits(74))


class Shuffled:
    """The numbers 0 to `prime`-1, each once, in an order that depends on the seed.

    An affine map instead of a shuffled list: a hundred million numbers need no memory.
    """

    def __init__(self, prime: int, chance: Chance) -> None:
        self.prime = prime
        self._step = chance.between(prime // 3, prime - prime // 3)
        self._next = chance.between(0, prime - 1)

    def take(self) -> int:
        """Return the next number."""
        self._next = (self._next + self._step) % self.prime
        return self._next


def uuid7_shape(time_ms: int, bits: int) -> bytes:
    """Return the 16 bytes of a UUIDv7 with this time and 74 bits in its random places."""
    high, low = bits >> 62, bits & ((1 << 62) - 1)
    number = time_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low
    return number.to_bytes(16, "big")
