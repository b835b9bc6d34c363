"""Bytes to fields and back, by the table in spec.py alone.

A bitmap says which fields follow, so the steps to read them are worked out once per bitmap:
neighbours of fixed length and one character set become one `struct` and one check. Bitmaps come
from the network, therefore the store of such plans is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from struct import Struct
from typing import Final, Protocol

from processing.wire.iso8583.errors import Decoded, WireError, shown
from processing.wire.iso8583.spec import (
    FIELD_MAX,
    FIELDS,
    HEX_DIGITS,
    Charset,
    FieldSpec,
    Length,
    Profile,
)

PLANS_MAX: Final = 256
"""Most bitmaps whose reading plan is kept; honest ports use about thirty."""

_MTI_END: Final = 4
_BITMAP: Final = 16
_SECONDARY_FOLLOWS: Final = frozenset(bytes((digit,)) for digit in b"89ABCDEF")


def decode(frame: bytes, profile: Profile) -> Decoded:
    """Return type indicator and fields of one message (framing already removed).

    Reads nothing past the end and accepts nothing after the last field. Raises `WireError`, whose
    `decoded` holds the fields before the bad one.
    """
    mti = frame[:_MTI_END]
    if len(mti) != _MTI_END or not mti.isdigit():
        raise WireError("MTI", 0, "four digits 0-9", shown(mti))
    decoded = Decoded(mti.decode("ascii"), {})
    try:
        bitmaps = 2 if frame[_MTI_END : _MTI_END + 1] in _SECONDARY_FOLLOWS else 1
        offset = _MTI_END + _BITMAP * bitmaps
        for step in _plan(frame[_MTI_END:offset], bitmaps, profile):
            offset = step.read(frame, offset, decoded.fields)
        if offset != len(frame):
            raise WireError("frame", offset, "the end of the message", shown(frame[offset:]))
    except WireError as error:
        error.decoded = decoded
        raise
    return decoded


def encode(mti: str, fields: Mapping[int, bytes], profile: Profile) -> bytes:
    """Return the message; raises `WireError` for a value that its field cannot hold."""
    if len(mti) != _MTI_END or not mti.encode("ascii", "replace").isdigit():
        raise WireError("MTI", 0, "four digits 0-9", repr(mti))
    numbers = tuple(sorted(fields))
    written = (_written(number, fields[number], profile) for number in numbers)
    return b"".join((mti.encode("ascii"), _bitmap_of(numbers), *written))


def offset_of(number: int, decoded: Decoded, profile: Profile) -> int:
    """Return where field `number` begins in the message, or would begin if it were there.

    Counted from the fields themselves, since only an error needs it; points at the value, behind
    the length prefix.
    """
    offset = _MTI_END + _BITMAP * (2 if max(decoded.fields, default=0) > FIELD_MAX // 2 else 1)
    for other, value in decoded.fields.items():
        if other < number:
            offset += len(_written(other, value, profile))
    return offset + FIELDS[number].length


class _Step(Protocol):
    """Reads one or more fields from `offset` and returns where the next one begins."""

    def read(self, frame: bytes, offset: int, fields: dict[int, bytes]) -> int: ...


class _Run:
    """Neighbouring text fields of fixed length and one character set."""

    def __init__(self, numbers: list[int], charset: Charset) -> None:
        self._numbers = numbers
        self._struct = Struct("".join(f"{FIELDS[number].maximum}s" for number in numbers))
        self._holds = charset.holds

    def read(self, frame: bytes, offset: int, fields: dict[int, bytes]) -> int:
        end = offset + self._struct.size
        run = frame[offset:end]
        if len(run) != self._struct.size or not self._holds(run):
            return self._read_singly(frame, offset, fields)
        fields.update(zip(self._numbers, self._struct.unpack(run), strict=True))
        return end

    def _read_singly(self, frame: bytes, offset: int, fields: dict[int, bytes]) -> int:
        """Read field by field, which raises at the one that made the run unsound."""
        for number in self._numbers:
            size = FIELDS[number].maximum
            fields[number] = _sound(number, FIELDS[number], offset, frame[offset : offset + size])
            offset += size
        return offset


class _Single:
    """One field with a length prefix, or binary, or signed."""

    def __init__(self, number: int, profile: Profile) -> None:
        self._number = number
        self._spec = FIELDS[number]
        self._maximum = self._spec.wire_maximum(profile)
        self._hexed = self._spec.charset is Charset.BINARY and profile is Profile.HEX
        self._holds = self._spec.charset.holds

    def read(self, frame: bytes, offset: int, fields: dict[int, bytes]) -> int:
        size = self._maximum
        if digits := int(self._spec.length):
            size = self._size(frame[offset : offset + digits], offset)
            offset += digits
        end = offset + size
        value = frame[offset:end]
        if len(value) != size:
            raise WireError(
                str(self._number), offset, f"{size} bytes", f"{len(value)}: the message ends"
            )
        if self._hexed:
            value = self._from_hex(value, offset)
        elif not self._holds(value):
            raise _unfit(self._number, self._spec, offset, value)
        fields[self._number] = value
        return end

    def _size(self, prefix: bytes, offset: int) -> int:
        digits = int(self._spec.length)
        if len(prefix) != digits or not prefix.isdigit():
            raise WireError(
                str(self._number), offset, f"a length of {digits} digits", shown(prefix)
            )
        size = int(prefix)
        if size > self._maximum:
            raise WireError(
                str(self._number), offset, f"a length of at most {self._maximum}", str(size)
            )
        return size

    def _from_hex(self, value: bytes, offset: int) -> bytes:
        if len(value) % 2 or value.translate(None, HEX_DIGITS):
            raise WireError(
                str(self._number),
                offset,
                "an even number of hex characters 0-9 A-F",
                shown(value.translate(None, HEX_DIGITS) or value),
            )
        return bytes.fromhex(value.decode("ascii"))


@lru_cache(maxsize=PLANS_MAX)
def _plan(bitmap: bytes, bitmaps: int, profile: Profile) -> tuple[_Step, ...]:
    """Return the steps that read the fields of one or two bitmaps."""
    for start in range(0, _BITMAP * bitmaps, _BITMAP):
        part = bitmap[start : start + _BITMAP]
        if len(part) != _BITMAP or part.translate(None, HEX_DIGITS):
            expected = "a bitmap of 16 hex characters 0-9 A-F"
            raise WireError("bitmap", _MTI_END + start, expected, shown(part))
    bits = int(bitmap, 16)
    width = 4 * len(bitmap)
    numbers = [n for n in range(2, width + 1) if bits >> (width - n) & 1]
    if 65 in numbers:
        raise WireError("bitmap", _MTI_END + _BITMAP, "no third bitmap", "the bit of field 65")
    if bitmaps > 1 and max(numbers, default=0) <= FIELD_MAX // 2:
        expected = "a secondary bitmap with a bit set"
        raise WireError("bitmap", _MTI_END + _BITMAP, expected, "none set")
    steps: list[_Step] = []
    run: list[int] = []
    for number in numbers:
        if run and not _joins(run[-1], number):
            steps.append(_Run(run, FIELDS[run[0]].charset))
            run = []
        if _runs(number):
            run.append(number)
        else:
            steps.append(_Single(number, profile))
    if run:
        steps.append(_Run(run, FIELDS[run[0]].charset))
    return tuple(steps)


def _runs(number: int) -> bool:
    """Whether the field may be part of a run: of fixed length, and each byte judged alone."""
    spec = FIELDS[number]
    return spec.length is Length.FIXED and spec.charset not in (Charset.BINARY, Charset.SIGNED)


def _joins(number: int, following: int) -> bool:
    return _runs(following) and FIELDS[number].charset is FIELDS[following].charset


@lru_cache(maxsize=PLANS_MAX)
def _bitmap_of(numbers: tuple[int, ...]) -> bytes:
    """Return the bitmap or bitmaps that announce these fields."""
    for number in numbers:
        if number not in FIELDS:
            raise WireError("bitmap", 0, "fields 2 to 64 and 66 to 128", str(number))
    bits = sum(1 << (FIELD_MAX - number) for number in numbers)
    if numbers and numbers[-1] > FIELD_MAX // 2:
        return b"%032X" % (bits | 1 << (FIELD_MAX - 1))
    return b"%016X" % (bits >> FIELD_MAX // 2)


def _written(number: int, value: bytes, profile: Profile) -> bytes:
    """Return one field as it travels, length prefix included."""
    spec, room, holds, hexed = _writer(number, profile)
    size = len(value)
    if size > room or (size < room and not spec.length) or not holds(value):
        _sound(number, spec, 0, value)
        raise WireError(str(number), 0, f"at most {room} bytes as hex", str(size))
    if hexed:
        value = value.hex().upper().encode("ascii")
    match spec.length:
        case Length.FIXED:
            return value
        case Length.LL:
            return b"%02d" % len(value) + value
        case Length.LLL:
            return b"%03d" % len(value) + value


@cache
def _writer(number: int, profile: Profile) -> tuple[FieldSpec, int, Callable[[bytes], bool], bool]:
    """Return what it takes to write a field: its spec, room and test, and whether as hex.

    Kept for good, since only fields of the table come here.
    """
    spec = FIELDS[number]
    hexed = spec.charset is Charset.BINARY and profile is Profile.HEX
    return spec, spec.room(profile), spec.charset.holds, hexed


def _sound(number: int, spec: FieldSpec, offset: int, value: bytes) -> bytes:
    """Return a value whose length and characters fit its field, or raise `WireError`."""
    if spec.length is Length.FIXED and len(value) != spec.maximum:
        raise WireError(str(number), offset, f"{spec.maximum} bytes", f"{len(value)}")
    if len(value) > spec.maximum:
        raise WireError(str(number), offset, f"at most {spec.maximum} bytes", f"{len(value)}")
    if not spec.charset.holds(value):
        raise _unfit(number, spec, offset, value)
    return value


def _unfit(number: int, spec: FieldSpec, offset: int, value: bytes) -> WireError:
    return WireError(str(number), offset, spec.charset.value, shown(value))
