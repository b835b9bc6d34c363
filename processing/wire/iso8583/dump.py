"""A message taken apart for people: docs/wire.md, and whoever looks for a fault between vendors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from processing.wire.iso8583 import de55, tlv48
from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.spec import FIELDS, Charset, Profile

_ROW_BYTES: Final = 16
_VALUE_WIDTH: Final = 36
_MEANINGS: Final = {
    **tlv48.REQUEST_TAGS,
    **tlv48.TOTALS_TAGS,
    **tlv48.NETWORK_ANSWER_TAGS,
    **tlv48.ANSWER_TAGS,
}
_OBJECTS: Final = {**de55.REQUEST_OBJECTS, **de55.ANSWER_OBJECTS}


def hex_dump(data: bytes) -> str:
    """Return offsets, sixteen bytes a row in hex, and their printable characters."""
    rows = []
    for start in range(0, len(data), _ROW_BYTES):
        row = data[start : start + _ROW_BYTES]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        rows.append(f"{start:04x}  {row.hex(' '):<{3 * _ROW_BYTES}} {text}")
    return "\n".join(rows)


def annotated(frame: bytes, profile: Profile) -> str:
    """Return one row per part of a message: its offset, its bytes, its meaning.

    Text is shown as it is, raw bytes in brackets as hex; long values go on in the rows below.
    Raises `WireError` for what is no message.
    """
    rows = []
    for offset, part, meaning in _parts(frame, profile):
        printable = not part.translate(None, bytes(range(0x20, 0x7F)))
        text = part.decode("ascii") if printable else f"[{part.hex().upper()}]"
        pieces = [text[at : at + _VALUE_WIDTH] for at in range(0, len(text), _VALUE_WIDTH)]
        rows.append(f"{offset:4}  {pieces[0]:<{_VALUE_WIDTH}}  {meaning}")
        rows += [f"      {piece}" for piece in pieces[1:]]
    return "\n".join(rows)


def _parts(frame: bytes, profile: Profile) -> Iterator[tuple[int, bytes, str]]:
    decoded = decode(frame, profile)
    yield 0, frame[:4], "type indicator"
    yield 4, frame[4:20], "primary bitmap"
    offset = 20
    if max(decoded.fields, default=0) > 64:
        yield 20, frame[20:36], "secondary bitmap"
        offset = 36
    for number, value in decoded.fields.items():
        spec = FIELDS[number]
        if spec.length:
            yield offset, frame[offset : offset + spec.length], f"length of field {number}"
            offset += spec.length
        hexed = spec.charset is Charset.BINARY and profile is Profile.HEX
        size = 2 * len(value) if hexed else len(value)
        if number in (48, 62):
            yield from _entries(offset, value, number)
        elif number == 55:
            yield from _objects(offset, value, hexed=hexed)
        else:
            yield offset, frame[offset : offset + size], f"{number}: {spec.name}"
        offset += size


def _entries(offset: int, value: bytes, number: int) -> Iterator[tuple[int, bytes, str]]:
    at = 0
    while at < len(value):
        end = at + 5 + int(value[at + 2 : at + 5])
        tag = _MEANINGS.get(value[at : at + 2])
        yield offset + at, value[at:end], f"{number}: {'?' if tag is None else tag.meaning}"
        at = end


def _objects(offset: int, value: bytes, *, hexed: bool) -> Iterator[tuple[int, bytes, str]]:
    at = 0
    for tag, content in de55.read_objects(value, _OBJECTS).items():
        one = de55.write_objects({tag: content}, _OBJECTS)
        shown = one.hex().upper().encode("ascii") if hexed else one
        yield offset + at * (2 if hexed else 1), shown, f"55: {_OBJECTS[tag].meaning}"
        at += len(one)
