"""How to read a message of one bitmap quickly: the work of codec.py, prepared from the same table.

A layout is made once per bitmap. Fields of fixed length that follow one another, and the length
prefix behind them, are one `struct`; neighbours of one character set are one check. Making one is
cheap (no pattern is compiled), since bitmaps come from the network before anything is authentic.

A layout accepts nothing that `codec.decode_carefully` refuses; at the first surprise it gives up
without a word, and the codec reads the message again to say what is wrong with it. A test holds
both to the same fields.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import groupby
from typing import Final

from processing.wire.iso8583.spec import FIELDS, HEX_DIGITS, Charset, Length, Profile

SIZES: Final = {b"%0*d" % (width, size): size for width in (2, 3) for size in range(10**width)}
"""Two or three digits to a length: one look-up instead of a check and a conversion."""


_Test = Callable[[bytes], bool]

_Stretch = tuple[
    Callable[[bytes, int], tuple[bytes, ...]], int, tuple[tuple[int, int, _Test], ...], int, _Test
]
"""Fields of fixed length up to, and with, the length prefix of one that varies.

How to take them apart; how many bytes they are; which parts of them must pass which test; the
greatest length of the varying field (-1 when there is none) and its test. A plain tuple, because
taking a tuple apart is much faster than asking a record for its parts.
"""


class Layout:
    """How to read the fields of one or two bitmaps, all of them in `FIELDS`."""

    def __init__(self, start: int, numbers: list[int], profile: Profile) -> None:
        self._start = start
        self._numbers = numbers
        self._hexed = [number for number in numbers if _is_hexed(number, profile)]
        self._stretches: list[_Stretch] = []
        fixed: list[int] = []
        for number in numbers:
            if FIELDS[number].length is Length.FIXED:
                fixed.append(number)
            else:
                self._stretches.append(_stretch(fixed, number, profile))
                fixed = []
        if fixed:
            self._stretches.append(_stretch(fixed, None, profile))

    def read(self, frame: bytes) -> dict[int, bytes] | None:
        """Return the fields of a message with these bitmaps, or None when it may be unsound."""
        if not frame[:4].isdigit():
            return None
        values: list[bytes] = []
        at = self._start
        try:
            for unpack, width, checks, most, holds in self._stretches:
                values += unpack(frame, at)
                for first, last, sound in checks:
                    if not sound(frame[at + first : at + last]):
                        return None
                at += width
                if most >= 0:
                    size = SIZES[values[-1]]
                    values[-1] = value = frame[at : at + size]
                    if len(value) != size or size > most or not holds(value):
                        return None
                    at += size
        except (struct.error, KeyError):
            return None
        if at != len(frame):
            return None
        fields = dict(zip(self._numbers, values, strict=False))
        for number in self._hexed:
            fields[number] = bytes.fromhex(fields[number].decode("ascii"))
        return fields


def _stretch(fixed: list[int], varying: int | None, profile: Profile) -> _Stretch:
    widths = [FIELDS[number].wire_maximum(profile) for number in fixed]
    checks: list[tuple[int, int, _Test]] = []
    end = 0
    for key, group in groupby(fixed, lambda number: _alike(number, profile)):
        members = list(group)
        start, end = end, end + sum(FIELDS[number].wire_maximum(profile) for number in members)
        if key is not Charset.BINARY:
            checks.append((start, end, _test_of_run(members[0], profile)))
    most, holds = -1, Charset.BINARY.holds
    if varying is not None:
        widths.append(int(FIELDS[varying].length))
        most, holds = FIELDS[varying].wire_maximum(profile), _test(varying, profile)
    layout = struct.Struct("".join(f"{width}s" for width in widths))
    return layout.unpack_from, layout.size, tuple(checks), most, holds


def _alike(number: int, profile: Profile) -> object:
    """Return a key that neighbours share when one check does for both."""
    charset = FIELDS[number].charset
    alone = charset is Charset.SIGNED or _is_hexed(number, profile)
    return number if alone else charset


def _test(number: int, profile: Profile) -> _Test:
    """Return the test of a field's characters as they travel."""
    return _is_hex if _is_hexed(number, profile) else FIELDS[number].charset.holds


def _test_of_run(number: int, profile: Profile) -> _Test:
    """Return the test of characters of which there is at least one."""
    return bytes.isdigit if FIELDS[number].charset is Charset.DIGITS else _test(number, profile)


def _is_hexed(number: int, profile: Profile) -> bool:
    return FIELDS[number].charset is Charset.BINARY and profile is Profile.HEX


def _is_hex(value: bytes) -> bool:
    return len(value) % 2 == 0 and not value.translate(None, HEX_DIGITS)
