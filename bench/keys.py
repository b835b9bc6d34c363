"""The cards' keys of a measurement: made from numbers, so that nobody has to keep them.

Card i has the private scalar `FIRST + i`. A million public points then cost one addition each, and
a signature costs one multiplication, since all are made with one nonce. That gives the private keys
away to whoever reads two signatures; they open nothing, and whoever verifies has the same work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

# P-256: SEC 2, section 2.4.2.
_FIELD: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

FIRST: Final = int.from_bytes(hashlib.sha256(b"spk bench card").digest()) >> 1
"""The scalar of card 0: of 255 bits, so that no card's reaches the order."""

_NONCE: Final = int.from_bytes(hashlib.sha256(b"spk bench nonce").digest()) >> 1
_CHUNK: Final = 1_000
"""Points whose denominators are inverted together."""

Point = tuple[int, int]


def private_key_of(card: int) -> ec.EllipticCurvePrivateKey:
    """Return the tap key of card `card`."""
    return ec.derive_private_key(FIRST + card, ec.SECP256R1())


def public_points(first: int, count: int) -> Iterator[bytes]:
    """Yield the public points of the tap keys of `count` cards, uncompressed (65 bytes)."""
    for start in range(first, first + count, _CHUNK):
        for x, y in islice(_chunk(start), first + count - start):
            yield b"\4" + x.to_bytes(32) + y.to_bytes(32)


def public_point_of(card: int) -> bytes:
    """Return the public point of one card's tap key."""
    return next(public_points(card, 1))


class Pen:
    """Signs for any card, all with one nonce (FIPS 186-5, section 6.4.1)."""

    def __init__(self) -> None:
        self._r = _point(_NONCE)[0] % _ORDER
        self._r_bytes = self._r.to_bytes(32)
        self._inverse = pow(_NONCE, -1, _ORDER)

    def signature(self, card: int, digest: bytes) -> bytes:
        """Return r‖s over a SHA-256 digest, with the lower of the two possible s."""
        s = self._inverse * (int.from_bytes(digest) + self._r * (FIRST + card)) % _ORDER
        return self._r_bytes + min(s, _ORDER - s).to_bytes(32)


def _chunk(first: int) -> Iterator[Point]:
    """Yield the points of cards `first` and those after it, each G more than the last."""
    x1, y1 = _point(FIRST + first)
    yield x1, y1
    multiples = _multiples()
    inverses = _inverted([x2 - x1 for x2, _ in multiples])
    for (x2, y2), inverse in zip(multiples, inverses, strict=True):
        slope = (y2 - y1) * inverse % _FIELD
        x = (slope * slope - x1 - x2) % _FIELD
        yield x, (slope * (x1 - x) - y1) % _FIELD


@lru_cache(1)
def _multiples() -> tuple[Point, ...]:
    return tuple(_point(scalar) for scalar in range(1, _CHUNK))


def _inverted(values: list[int]) -> list[int]:
    """Return the inverses in the field, for the price of one (Montgomery's trick)."""
    products = [1]
    for value in values:
        products.append(products[-1] * value % _FIELD)
    inverse = pow(products.pop(), -1, _FIELD)
    inverses = []
    for value, product in zip(reversed(values), reversed(products), strict=True):
        inverses.append(inverse * product % _FIELD)
        inverse = inverse * value % _FIELD
    return inverses[::-1]


def _point(scalar: int) -> Point:
    numbers = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x, numbers.y
