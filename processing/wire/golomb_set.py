"""A set of 16-byte references that can only be asked "is it in?", at 30.2 bits an entry.

A Golomb-coded set, as BIP 158 describes for filters of a block chain, with a directory so that a
question decodes one bucket and not the whole. Each reference becomes a number below n · 2^28 (n
the number of entries) by BLAKE2b keyed with the set's salt; the numbers are sorted, and what is
stored is the difference of each to the one before, Rice-coded with 28 low bits. A reference that
is not in the set is taken for one that is with probability 2^-28; who makes a set knows all
references that will be asked and draws another salt when one of them is hit.

Encoded set: number of entries (4 bytes, big-endian), number of buckets (4), the end of each bucket
counted from the first (4 each), then the buckets. Bucket i holds the numbers from
i · range / buckets on; the first is stored as its difference to that.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final, Self

REMAINDER_BITS: Final = 28
SALT_BYTES: Final = 16
ENTRIES_MAX: Final = 16_000_000
BUCKET_ENTRIES: Final = 64
"""Entries of a bucket on average: what one question decodes."""

_HASH_BITS: Final = 64
_HEAD: Final = Struct(">II")
_OFFSET_BYTES: Final = 4


class GolombSetError(ValueError):
    """Bytes that are no encoded set."""

    exit_code = 2


class GolombSet:
    """An encoded set with its salt. `references` in and out are 16 bytes each, order is lost."""

    def __init__(self, salt: bytes, data: bytes) -> None:
        """Take an encoded set; raises `GolombSetError` unless its directory fits the data."""
        if len(salt) != SALT_BYTES or len(data) < _HEAD.size:
            raise GolombSetError("the set is cut short")
        self.salt = salt
        self.data = data
        self.count: int
        self._buckets: int
        self.count, self._buckets = _HEAD.unpack_from(data)
        self._first = _HEAD.size + _OFFSET_BYTES * self._buckets
        if self._buckets != _buckets_of(self.count) or self._end(self._buckets) != len(data):
            raise GolombSetError("the set's directory does not fit its data")

    @classmethod
    def of(cls, references: Iterable[bytes], salt: bytes) -> Self:
        """Encode references; a repeated one counts once. Raises `GolombSetError` if too many."""
        distinct = set(references)
        count = len(distinct)
        if count > ENTRIES_MAX:
            raise GolombSetError(f"{count} entries; a set holds at most {ENTRIES_MAX}")
        numbers = sorted(_number(reference, salt, count) for reference in distinct)
        buckets = _buckets_of(count)
        pieces, ends, end, start = [], [], 0, 0
        for bucket in range(buckets):
            floor = _floor(bucket, buckets, count)
            stop = bisect_left(numbers, _floor(bucket + 1, buckets, count), start)
            pieces.append(_encoded(numbers[start:stop], floor))
            start = stop
            end += len(pieces[-1])
            ends.append(end.to_bytes(_OFFSET_BYTES))
        return cls(salt, b"".join([_HEAD.pack(count, buckets), *ends, *pieces]))

    def __contains__(self, reference: bytes) -> bool:
        """Whether `reference` is in the set, or one of 2^28 that look as if they were."""
        if not self.count:
            return False
        number = _number(reference, self.salt, self.count)
        bucket = _bucket_of(number, self._buckets, self.count)
        piece = self.data[self._end(bucket) : self._end(bucket + 1)]
        wanted = number - _floor(bucket, self._buckets, self.count)
        return next((found == wanted for found in _decoded(piece) if found >= wanted), False)

    def hits(self, references: Iterable[bytes]) -> list[bytes]:
        """Return those of many references that are in the set, or look as if they were."""
        if not self.count:
            return []
        numbers = set(self._numbers())
        return [one for one in references if _number(one, self.salt, self.count) in numbers]

    def _numbers(self) -> Iterator[int]:
        for bucket in range(self._buckets):
            floor = _floor(bucket, self._buckets, self.count)
            for number in _decoded(self.data[self._end(bucket) : self._end(bucket + 1)]):
                yield floor + number

    def _end(self, bucket: int) -> int:
        """Where the bucket before `bucket` ends, in the data."""
        if bucket == 0:
            return self._first
        place = _HEAD.size + _OFFSET_BYTES * (bucket - 1)
        return self._first + int.from_bytes(self.data[place : place + _OFFSET_BYTES])


def _buckets_of(count: int) -> int:
    return -(-count // BUCKET_ENTRIES)


def _number(reference: bytes, salt: bytes, count: int) -> int:
    """Return the reference's number below count · 2^28, evenly spread (Lemire's reduction)."""
    digest = hashlib.blake2b(reference, digest_size=_HASH_BITS // 8, key=salt).digest()
    return (int.from_bytes(digest) * (count << REMAINDER_BITS)) >> _HASH_BITS


def _floor(bucket: int, buckets: int, count: int) -> int:
    """Return the least number that belongs into a bucket."""
    return -(-bucket * (count << REMAINDER_BITS) // buckets)


def _bucket_of(number: int, buckets: int, count: int) -> int:
    return number * buckets // (count << REMAINDER_BITS)


def _encoded(numbers: list[int], floor: int) -> bytes:
    """Rice-code the differences of a bucket: quotient in unary, a zero, 28 bits; padded with 1s."""
    bits, before = [], floor
    for number in numbers:
        difference = number - before
        before = number
        quotient = difference >> REMAINDER_BITS
        remainder = difference & ((1 << REMAINDER_BITS) - 1)
        bits.append(f"{'1' * quotient}0{remainder:0{REMAINDER_BITS}b}")
    text = "".join(bits)
    # An unfinished quotient ends a bucket: no entry is read from the padding.
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8) if text else b""


def _decoded(piece: bytes) -> Iterator[int]:
    """Give the numbers of a bucket above its floor, in order."""
    text = f"{int.from_bytes(piece):0{8 * len(piece)}b}" if piece else ""
    place, number = 0, 0
    while (zero := text.find("0", place)) >= 0:
        place_after = zero + 1 + REMAINDER_BITS
        if place_after > len(text):
            return
        number += (zero - place << REMAINDER_BITS) | int(text[zero + 1 : place_after], 2)
        yield number
        place = place_after
