"""Breaks messages the way wires, bugs and attackers do: small changes that can be repeated."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from processing.wire.iso8583.codec import decode, encode
from processing.wire.iso8583.errors import WireError
from processing.wire.iso8583.spec import FIELDS, Profile

CHANGES_MAX: Final = 4
"""Most changes made to one message."""

_EDGES: Final = (b"0", b"9", b"\0", b"\xff", b"A", b" ", b"-", b"\x80", b"\xd9\xa1")
"""Bytes at which readers go wrong; the last is an Arabic digit in UTF-8."""

Mutate = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutated(chance: random.Random, sound: Sequence[bytes], profile: Profile) -> bytes:
    """Return one of the sound messages with one to four changes; sometimes bytes without sense."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(20, 600))
    message = chance.choice(sound)
    if chance.random() < 0.5:
        message = _restructured(chance, message, profile)
    for _ in range(chance.randint(1, CHANGES_MAX)):
        message = chance.choice(_MUTATIONS)(chance, message, sound)
    return message[:4096].ljust(20, b"0")


def _flip(chance: random.Random, message: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(message))
    return message[:at] + bytes((message[at] ^ 1 << chance.randrange(8),)) + message[at + 1 :]


def _edge(chance: random.Random, message: bytes, _: Sequence[bytes]) -> bytes:
    at = chance.randrange(len(message))
    edge = chance.choice(_EDGES)
    return message[:at] + edge + message[at + len(edge) :]


def _cut(chance: random.Random, message: bytes, _: Sequence[bytes]) -> bytes:
    return message[: chance.randrange(20, max(len(message), 21))]


def _drop(chance: random.Random, message: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(chance, message)
    return message[:start] + message[end:] or message


def _double(chance: random.Random, message: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(chance, message)
    return message[:end] + message[start:end] + message[end:]


def _splice(chance: random.Random, message: bytes, sound: Sequence[bytes]) -> bytes:
    other = chance.choice(sound)
    at = chance.randrange(min(len(message), len(other)))
    return message[:at] + other[at:]


def _span(chance: random.Random, message: bytes) -> tuple[int, int]:
    start = chance.randrange(len(message))
    return start, min(len(message), start + chance.randint(1, 32))


_MUTATIONS: Final[tuple[Mutate, ...]] = (_flip, _edge, _cut, _drop, _double, _splice)


def _restructured(chance: random.Random, message: bytes, profile: Profile) -> bytes:
    """Change whole fields and entries, so that the message stays readable as far as possible."""
    try:
        decoded = decode(message, profile)
    except WireError:
        return message
    fields = dict(decoded.fields)
    number = chance.choice(sorted(fields))
    match chance.randrange(5):
        case 0:
            del fields[number]
        case 1:
            fields[number] = chance.choice(_EDGES) * len(fields[number])
        case 2:
            other = chance.choice(sorted(FIELDS))
            fields[other] = fields[number][: FIELDS[other].maximum]
        case 3:
            fields[48] = _shuffled_entries(chance, fields.get(48, b""))
        case _:
            fields[55] = _doubled_object(chance, fields.get(55, b""))
    try:
        return encode(decoded.mti, fields, profile)
    except WireError:
        return message


def _shuffled_entries(chance: random.Random, data: bytes) -> bytes:
    """Take the entries of field 48 apart, repeat one of them, and put them in another order."""
    entries, at = [], 0
    while at + 5 <= len(data) and data[at + 2 : at + 5].isdigit():
        end = at + 5 + int(data[at + 2 : at + 5])
        entries.append(data[at:end])
        at = end
    if entries and chance.random() < 0.5:
        entries.append(chance.choice(entries))
    chance.shuffle(entries)
    return b"".join(entries)[:999]


def _doubled_object(chance: random.Random, data: bytes) -> bytes:
    """Repeat a piece of field 55, or change a length in it."""
    if not data:
        return data
    at = chance.randrange(len(data))
    return (data[:at] + bytes((chance.randrange(256),)) + data[at:])[:999]
