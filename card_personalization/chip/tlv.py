"""BER-TLV as cards use it (ISO/IEC 7816-4 §6.3): tags up to 3 bytes, definite lengths.

Parsing never reads past the end of what it was given, and its error names the offset.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

MAX_TAG_BYTES: Final = 3
MAX_VALUE_BYTES: Final = 0xFFFF


class TlvError(ValueError):
    """The bytes are no BER-TLV. `offset` counts from the start of the parsed bytes."""

    def __init__(self, offset: int, expected: str) -> None:
        self.offset = offset
        self.expected = expected
        super().__init__(f"BER-TLV at offset {offset}: expected {expected}")


class Tlv(msgspec.Struct, frozen=True):
    """One data object: its tag as a number (0x5FC102), its value, and where it began."""

    tag: int
    value: bytes
    offset: int = 0


def encode(tag: int, value: bytes = b"") -> bytes:
    """One data object as bytes. ValueError if the value exceeds MAX_VALUE_BYTES."""
    length = len(value)
    if tag < 0x100 and length < 0x80:
        # Nearly all of them: short values under tags of one byte.
        return bytes((tag, length)) + value
    if length > MAX_VALUE_BYTES:
        raise ValueError(f"a data object carries at most {MAX_VALUE_BYTES} bytes, not {length}")
    tag_bytes = tag.to_bytes(max(1, (tag.bit_length() + 7) // 8), "big")
    if length < 0x80:
        return tag_bytes + bytes([length]) + value
    if length <= 0xFF:
        return tag_bytes + bytes([0x81, length]) + value
    return tag_bytes + b"\x82" + length.to_bytes(2, "big") + value


def _parse_tag(data: bytes, start: int) -> tuple[int, int]:
    """The tag at `start` and the offset after it."""
    position = start + 1
    if data[start] & 0x1F != 0x1F:
        return data[start], position
    while True:
        if position >= len(data):
            raise TlvError(position, "another byte of the tag")
        if position - start >= MAX_TAG_BYTES:
            raise TlvError(start, f"a tag of at most {MAX_TAG_BYTES} bytes")
        position += 1
        if not data[position - 1] & 0x80:
            return int.from_bytes(data[start:position], "big"), position


def _parse_length(data: bytes, start: int) -> tuple[int, int]:
    """The length at `start` and the offset after it."""
    if start >= len(data):
        raise TlvError(start, "a length byte")
    first = data[start]
    if first < 0x80:
        return first, start + 1
    count = first & 0x7F
    if count not in (1, 2, 3):
        raise TlvError(start, "a definite length in 1 to 3 bytes")
    end = start + 1 + count
    if end > len(data):
        raise TlvError(start + 1, f"{count} length bytes")
    return int.from_bytes(data[start + 1 : end], "big"), end


def parse(data: bytes) -> tuple[Tlv, ...]:
    """All data objects in `data`, one after another, none nested. TlvError if any is broken."""
    found: list[Tlv] = []
    position, size = 0, len(data)
    while position < size:
        tag, after_tag = _parse_tag(data, position)
        length, after_length = _parse_length(data, after_tag)
        end = after_length + length
        if end > size:
            raise TlvError(after_length, f"{length} bytes of value, found {size - after_length}")
        found.append(Tlv(tag, data[after_length:end], position))
        position = end
    return tuple(found)


def find(objects: Iterable[Tlv], tag: int) -> bytes | None:
    """The value of the first object with this tag, or None."""
    return next((item.value for item in objects if item.tag == tag), None)


def unwrap(data: bytes, tag: int) -> bytes:
    """The value of the only data object in `data`, which must carry this tag. Else TlvError."""
    objects = parse(data)
    if len(objects) != 1 or objects[0].tag != tag:
        raise TlvError(0, f"one data object with tag {tag:X}")
    return objects[0].value
