"""Bytes to fields and back, by the table in spec.py alone.

A bitmap says which fields follow, so what it takes to read or write them is worked out once per
bitmap: `layout.py` reads a sound message in a few steps. What it does not accept is read again
here, field by field, which names the error. Bitmaps come from the network, therefore the stores of
layouts and of writing plans are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from operator import itemgetter
from typing import Final

import msgspec

from processing.wire.iso8583.errors import Decoded, WireError, shown
from processing.wire.iso8583.layout import Layout
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
"""Most bitmaps whose layout is kept, and most whose writing plan is; honest ports use thirty."""

# Asking an enum for a member takes as long as three look-ups.
_HEX: Final = Profile.HEX
_MTI_END: Final = 4
_BITMAP: Final = 16
_HEAD_END: Final = _MTI_END + _BITMAP
_SECONDARY_FOLLOWS: Final = frozenset(bytes((digit,)) for digit in b"89ABCDEF")


def decode(frame: bytes, profile: Profile) -> Decoded:
    """Return type indicator and fields of one message (framing already removed).

    Reads nothing past the end and accepts nothing after the last field. Raises `WireError`, whose
    `decoded` holds the fields before the bad one.
    """
    try:
        bitmaps = frame[_MTI_END:_HEAD_END]
        if bitmaps[:1] in _SECONDARY_FOLLOWS:
            bitmaps = _bitmaps_in(frame)
        fields = _layout(bitmaps, profile is _HEX).read(frame)
    except WireError:
        fields = None
    if fields is None:
        return decode_carefully(frame, profile)
    return Decoded(frame[:_MTI_END].decode("ascii"), fields)


def decode_carefully(frame: bytes, profile: Profile) -> Decoded:
    """Do what `decode` does, field by field; this is the form that names every error."""
    mti = frame[:_MTI_END]
    if len(mti) != _MTI_END or not mti.isdigit():
        raise WireError("MTI", 0, "four digits 0-9", shown(mti))
    decoded = Decoded(mti.decode("ascii"), {})
    try:
        bitmaps = _bitmaps_in(frame)
        offset = _MTI_END + len(bitmaps)
        for number in numbers_in(bitmaps):
            offset = _read(number, frame, offset, profile, decoded.fields)
        if offset != len(frame):
            raise WireError("frame", offset, "the end of the message", shown(frame[offset:]))
    except WireError as error:
        error.decoded = decoded
        raise
    return decoded


class Sound(msgspec.Struct, frozen=True):
    """Fields that need no check before they are written.

    They come from a message that `decode` read on a port of the same profile, or consist of parts
    that were checked one by one and fit the field. `numbers` are all in `fields`, in any order.
    """

    numbers: tuple[int, ...] = ()
    fields: dict[int, bytes] = {}


NO_FIELDS: Final = Sound()


def encode(
    mti: str,
    fields: dict[int, bytes],
    profile: Profile,
    sound: Sound = NO_FIELDS,
    *,
    last_follows: bool = False,
) -> bytes:
    """Return the message; raises `WireError` for a value that its field cannot hold.

    `fields` win over `sound` where both have a field. With `last_follows` the last bit of the last
    bitmap is set too, and the caller appends that field: a MAC can only be made of all the rest.
    """
    if len(mti) != _MTI_END or not (mti.isascii() and mti.isdigit()):
        raise WireError("MTI", 0, "four digits 0-9", repr(mti))
    hexed = profile is _HEX
    numbers = tuple(fields)
    bitmap, pick, checked, as_hex, varying = _writing(sound.numbers, numbers, hexed, last_follows)
    parts = list(pick(sound.fields | fields if fields else sound.fields))
    for at, number in checked:
        parts[at] = _written(number, parts[at], hexed)
    for at in as_hex:
        parts[at] = parts[at].hex().upper().encode("ascii")
    for at, prefixes in varying:
        value = parts[at]
        parts[at] = prefixes[len(value)] + value
    return b"".join((mti.encode("ascii"), bitmap, *parts))


def offset_of(number: int, decoded: Decoded, profile: Profile) -> int:
    """Return where field `number` begins in the message, or would begin if it were there.

    Counted from the fields themselves, since only an error needs it; points at the value, behind
    the length prefix.
    """
    hexed = profile is Profile.HEX
    offset = _MTI_END + _BITMAP * (2 if max(decoded.fields, default=0) > FIELD_MAX // 2 else 1)
    for other, value in decoded.fields.items():
        if other < number:
            offset += len(_written(other, value, hexed))
    return offset + FIELDS[number].length


def numbers_in(bitmaps: bytes) -> list[int]:
    """Return the fields that one or two bitmaps announce, rising; raises `WireError`."""
    for start in range(0, max(len(bitmaps), 1), _BITMAP):
        part = bitmaps[start : start + _BITMAP]
        if len(part) != _BITMAP or part.translate(None, HEX_DIGITS):
            expected = "a bitmap of 16 hex characters 0-9 A-F"
            raise WireError("bitmap", _MTI_END + start, expected, shown(part))
    bits = int(bitmaps, 16)
    width = 4 * len(bitmaps)
    numbers = [n for n in range(2, width + 1) if bits >> (width - n) & 1]
    if 65 in numbers:
        raise WireError("bitmap", _HEAD_END, "no third bitmap", "the bit of field 65")
    if width > FIELD_MAX // 2 and max(numbers, default=0) <= FIELD_MAX // 2:
        raise WireError("bitmap", _HEAD_END, "a secondary bitmap with a bit set", "none set")
    return numbers


def _bitmaps_in(frame: bytes) -> bytes:
    """Return the bitmap of a message, or both; shorter where the message ends."""
    bitmaps = frame[_MTI_END:_HEAD_END]
    if bitmaps[:1] not in _SECONDARY_FOLLOWS:
        return bitmaps
    bitmaps = frame[_MTI_END : _HEAD_END + _BITMAP]
    if len(bitmaps) == _BITMAP:
        raise WireError("bitmap", _HEAD_END, "a bitmap of 16 hex characters 0-9 A-F", shown(b""))
    return bitmaps


@lru_cache(maxsize=PLANS_MAX)
def _layout(bitmaps: bytes, hexed: bool) -> Layout:
    """Return how to read the fields of one or two bitmaps; raises `WireError`."""
    numbers = numbers_in(bitmaps)
    return Layout(_MTI_END + len(bitmaps), numbers, Profile.HEX if hexed else Profile.BINARY)


def _read(
    number: int, frame: bytes, offset: int, profile: Profile, fields: dict[int, bytes]
) -> int:
    """Read one field from `offset` and return where the next one begins; raises `WireError`."""
    spec = FIELDS[number]
    size = spec.wire_maximum(profile)
    if digits := int(spec.length):
        size = _size(number, frame[offset : offset + digits], offset, size)
        offset += digits
    end = offset + size
    value = frame[offset:end]
    if len(value) != size:
        found = f"{len(value)}: the message ends"
        raise WireError(str(number), offset, f"{size} bytes", found)
    if spec.charset is Charset.BINARY and profile is Profile.HEX:
        value = _from_hex(number, value, offset)
    elif not spec.charset.holds(value):
        raise _unfit(number, spec, offset, value)
    fields[number] = value
    return end


def _size(number: int, prefix: bytes, offset: int, maximum: int) -> int:
    """Return the length in a prefix."""
    digits = int(FIELDS[number].length)
    if len(prefix) != digits or not prefix.isdigit():
        raise WireError(str(number), offset, f"a length of {digits} digits", shown(prefix))
    size = int(prefix)
    if size > maximum:
        raise WireError(str(number), offset, f"a length of at most {maximum}", str(size))
    return size


def _from_hex(number: int, value: bytes, offset: int) -> bytes:
    """Return the bytes of a binary field on a HEX port."""
    foreign = value.translate(None, HEX_DIGITS)
    if len(value) % 2 or foreign:
        expected = "an even number of hex characters 0-9 A-F"
        raise WireError(str(number), offset, expected, shown(foreign or value))
    return bytes.fromhex(value.decode("ascii"))


_PREFIXES: Final = {
    Length.LL: [b"%02d" % size for size in range(100)],
    Length.LLL: [b"%03d" % size for size in range(1000)],
}
"""How a length travels before its field."""

_Writing = tuple[
    bytes,
    Callable[[Mapping[int, bytes]], Iterable[bytes]],
    tuple[tuple[int, int], ...],
    tuple[int, ...],
    tuple[tuple[int, list[bytes]], ...],
]
"""How to write some fields: bitmaps, and what gives the values in order, followed by places in it.

Those of fields to be checked, with their numbers; of sound ones that travel as hex; and of sound
ones that have a length, with the forms of that.
"""


@lru_cache(maxsize=PLANS_MAX)
def _writing(
    sound: tuple[int, ...], checked: tuple[int, ...], hexed: bool, last_follows: bool
) -> _Writing:
    """Return the plan for a message of these fields; raises `WireError`."""
    numbers = sorted({*sound, *checked})
    for number in numbers:
        if number not in FIELDS:
            raise WireError("bitmap", 0, "fields 2 to 64 and 66 to 128", str(number))
    secondary = bool(numbers) and numbers[-1] > FIELD_MAX // 2
    width = FIELD_MAX if secondary else FIELD_MAX // 2
    if last_follows and width in numbers:
        raise WireError(str(width), 0, "no value yet: it is made of all the others", "a value")
    announced = {*numbers, width} if last_follows else {*numbers}
    bits = sum(1 << (width - number) for number in announced)
    bitmap = b"%032X" % (bits | 1 << (FIELD_MAX - 1)) if secondary else b"%016X" % bits
    # An itemgetter of one item gives no tuple, and of none is an error.
    pick = itemgetter(*numbers) if len(numbers) > 1 else lambda values: map(values.get, numbers)
    sound_at = [(at, FIELDS[number]) for at, number in enumerate(numbers) if number not in checked]
    return (
        bitmap,
        pick,
        tuple((at, number) for at, number in enumerate(numbers) if number in checked),
        tuple(at for at, spec in sound_at if hexed and spec.charset is Charset.BINARY),
        tuple((at, _PREFIXES[spec.length]) for at, spec in sound_at if spec.length),
    )


def _written(number: int, value: bytes, hexed: bool) -> bytes:
    """Return one field as it travels, length prefix included."""
    writer = _writer(number, hexed)
    size = len(value)
    if not writer.least <= size <= writer.most or not writer.holds(value):
        _check(number, value)
        raise WireError(str(number), 0, f"at most {writer.most} bytes as hex", str(size))
    if writer.hexed:
        value = value.hex().upper().encode("ascii")
    return writer.prefixes[len(value)] + value if writer.prefixes else value


class _Writer(msgspec.Struct, frozen=True):
    """What it takes to write one field; `prefixes` are the forms of its length, if that travels."""

    least: int
    most: int
    holds: Callable[[bytes], bool]
    hexed: bool
    prefixes: list[bytes]


@cache
def _writer(number: int, hexed: bool) -> _Writer:
    """Return how to write a field. Kept for good, since only fields of the table come here."""
    spec = FIELDS[number]
    room = spec.room(Profile.HEX if hexed else Profile.BINARY)
    prefixes = _PREFIXES[spec.length] if spec.length else []
    as_hex = hexed and spec.charset is Charset.BINARY
    return _Writer(0 if spec.length else room, room, spec.charset.holds, as_hex, prefixes)


def _check(number: int, value: bytes) -> None:
    """Raise `WireError` for a value whose length or characters do not fit its field."""
    spec = FIELDS[number]
    if spec.length is Length.FIXED and len(value) != spec.maximum:
        raise WireError(str(number), 0, f"{spec.maximum} bytes", f"{len(value)}")
    if len(value) > spec.maximum:
        raise WireError(str(number), 0, f"at most {spec.maximum} bytes", f"{len(value)}")
    if not spec.charset.holds(value):
        raise _unfit(number, spec, 0, value)


def _unfit(number: int, spec: FieldSpec, offset: int, value: bytes) -> WireError:
    return WireError(str(number), offset, spec.charset.value, shown(value))
