"""The card batch: all that a station without master keys needs to make a set of cards.

A file is `spkbatch`, the byte 01, and parts: a 4-byte big-endian length and a MessagePack
`BatchPart` each.
The body of a part is encrypted to the station's public key by HPKE (RFC 9180: DHKEM(P-256),
HKDF-SHA256, AES-256-GCM), with the part's head as `info`; the key service signs head and body
(`processing.wire.statement`, domain CARD_BATCH, over the head followed by the body). The head says
which part of how many it is, so nothing can be left out, put in or put together from two batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from processing.wire.receipt import key_id_of
from processing.wire.statement import Domain, StatementError, verify_statement

MAGIC: Final = b"spkbatch\x01"
PARTS_MAX: Final = 4_096
PART_BYTES_MAX: Final = 64 * 1024
CARDS_OF_PART_MAX: Final = 16
"""Most cards of one part: a frame of the key service holds them with keys and certificates."""

_SUITE: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]


class BatchError(ValueError):
    """A batch that must not be used; the message says why."""

    exit_code = 2


class SlotKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is put into a card's slot (9A or 9E) and its certificate. Secret."""

    slot: str
    scalar: Annotated[bytes, Meta(min_length=32, max_length=32)]
    certificate: bytes

    def __repr__(self) -> str:
        """Return the slot alone: the key must not reach a log."""
        return f"SlotKey({self.slot!r}, <hidden>)"


class BatchCard(msgspec.Struct, frozen=True, kw_only=True):
    """One card to make. `keys` is empty where the card shall make its own. Secret.

    `admin_key` (24 bytes) is the 9B key, of `admin_version`, from generation `card_master` of the
    card master; `channel_keys` are Key-ENC, Key-MAC and Key-DEK of SCP03 (16 bytes each) for cards
    that have a channel; `valid_to` an ISO date, `challenge` what the new card signs for its report.
    """

    order_id: Bytes16
    card_guid: Bytes16
    card_number: str
    issuer_region: int
    valid_to: str
    challenge: bytes
    admin_key: Annotated[bytes, Meta(min_length=24, max_length=24)]
    admin_version: int
    card_master: int
    channel_keys: Annotated[bytes, Meta(min_length=48, max_length=48)]
    keys: tuple[SlotKey, ...] = ()

    def __repr__(self) -> str:
        """Return the card's number alone: its keys must not reach a log."""
        return f"BatchCard({self.card_number!r}, <hidden>)"


class PartHead(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of which batch, for whom. Parts count from 1."""

    batch_id: Bytes16
    part: int
    parts: int
    cards: int
    station_key_id: bytes
    created_at_ms: int


class BatchPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part as it stands in the file."""

    head: bytes
    body: bytes
    key_id: bytes
    signature: bytes


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """An opened batch."""

    batch_id: bytes
    created_at_ms: int
    cards: tuple[BatchCard, ...]


def sealed_body(head: bytes, cards: Sequence[BatchCard], station_point: bytes) -> bytes:
    """Return the cards encrypted to a station's public key (uncompressed P-256 point)."""
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), station_point)
    return _SUITE.encrypt(msgspec.msgpack.encode(tuple(cards)), key, head)


def batch_bytes(parts: Iterable[bytes]) -> bytes:
    """Return the file of encoded parts."""
    return MAGIC + b"".join(len(part).to_bytes(4) + part for part in parts)


def open_batch(
    data: bytes, station_key: ec.EllipticCurvePrivateKey, content_keys: Sequence[bytes]
) -> Batch:
    """Return what is in a batch; raises `BatchError` when anything about it is wrong.

    `content_keys` are the points (65 bytes) of the key service's content signing key. Whole or not
    at all: every part must be there, of one batch, signed, and for this station.
    """
    public = station_key.public_key()
    known = {key_id_of(point): point for point in content_keys}
    cards: list[BatchCard] = []
    first: PartHead | None = None
    number = 0
    for number, part in enumerate(_parts(data), 1):
        head = _checked_head(part, known)
        if head.station_key_id != key_id_of(_point(public)):
            raise BatchError("the batch is for another station's key")
        first = first or head
        same = (head.batch_id, head.parts) == (first.batch_id, first.parts)
        if not same or head.part != number or number > head.parts:
            raise BatchError(f"part {number} is not of this batch, or not in its place")
        cards += _opened(part, head, station_key)
    if first is None or number != first.parts:
        raise BatchError("parts of the batch are missing at its end; fetch the file again")
    return Batch(batch_id=first.batch_id, created_at_ms=first.created_at_ms, cards=tuple(cards))


def _parts(data: bytes) -> Iterator[BatchPart]:
    if not data.startswith(MAGIC):
        raise BatchError("this is no card batch, or one of another version")
    place = len(MAGIC)
    for _ in range(PARTS_MAX):
        if place == len(data):
            return
        length = int.from_bytes(data[place : place + 4])
        encoded = data[place + 4 : place + 4 + length]
        if not 0 < length <= PART_BYTES_MAX or len(encoded) != length:
            raise BatchError("the file ends inside a part; fetch it again")
        place += 4 + length
        try:
            yield msgspec.msgpack.decode(encoded, type=BatchPart)
        except msgspec.DecodeError as error:
            raise BatchError(f"a part cannot be read: {error}") from None
    raise BatchError(f"over {PARTS_MAX} parts")


def _checked_head(part: BatchPart, known: dict[bytes, bytes]) -> PartHead:
    point = known.get(part.key_id)
    if point is None:
        raise BatchError("the batch was signed with a key that is not the centre's")
    try:
        verify_statement(
            Domain.CARD_BATCH, part.head + part.body, part.key_id, part.signature, point
        )
        return msgspec.msgpack.decode(part.head, type=PartHead)
    except (StatementError, msgspec.DecodeError) as error:
        raise BatchError(f"the batch is not what the centre signed: {error}") from None


def _opened(
    part: BatchPart, head: PartHead, station_key: ec.EllipticCurvePrivateKey
) -> tuple[BatchCard, ...]:
    try:
        plain = _SUITE.decrypt(part.body, station_key, part.head)
        cards = msgspec.msgpack.decode(plain, type=tuple[BatchCard, ...])
    except (InvalidTag, ValueError) as error:
        raise BatchError(f"part {head.part} cannot be opened: {type(error).__name__}") from None
    if len(cards) != head.cards:
        raise BatchError(f"part {head.part} holds {len(cards)} cards instead of {head.cards}")
    return cards


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
