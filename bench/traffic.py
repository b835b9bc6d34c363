"""Sales made ready before the clock starts: signed by their cards, sealed by their terminals.

Number n of a run names its terminal, its STAN, its card and its lines, so that no key is used twice
as long as no number is.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from bench.keys import Pen
from bench.world import (
    HOT_HOLDER,
    ITEM_CLASSES,
    PIECES,
    PRICE_KOPECKS,
    REGION,
    SERVICE,
    SERVICE_VERSION,
    TIME_ZONE,
    World,
    id_of,
)
from processing.wire.digest import canonical_bytes
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import Envelope, Transaction
from processing.wire.iso8583.requests import encode_request, parse_message
from processing.wire.iso8583.spec import MAC_BYTES, Profile
from processing.wire.transaction import (
    STAN_MAX,
    Kind,
    Line,
    MessageClass,
    Request,
    TransactionKey,
)

HOT_PERCENT: Final = 30
_MASK: Final = 2**64 - 1
_FIRST_SEQUENCE: Final = 5_000_000_000
_MODEL_NUMBER: Final = 0x7A5B_3C1D
_MODEL_STAN: Final = 987_653


class Traffic(StrEnum):
    """What the sales of a run are like."""

    SINGLE = "single"
    """One line, one allowance; the cards spread evenly."""

    THREE = "three"
    """Three lines over three allowances of one holder."""

    HOT = "hot"
    """One line; three of ten sales draw on the one allowance of a household."""

    WARM = "warm"
    """Three lines; card after card, so that caches and counters know every one."""


class Draft(msgspec.Struct, frozen=True):
    """Who buys where in one sale: what differs from sale to sale."""

    number: int
    terminal: int
    stan: int
    card: int
    card_id: bytes
    holder_id: bytes

    @property
    def sequence(self) -> int:
        """Return the terminal's own counter in this sale; always of ten digits."""
        return _FIRST_SEQUENCE + self.number


class Sales:
    """Makes the sales of one world, from their numbers on."""

    def __init__(self, world: World, traffic: Traffic) -> None:
        self._world = world
        self._traffic = traffic
        self._pen = Pen()
        self._macs = [Mac(terminal.mac_key) for terminal in world.terminals]

    def draft(self, number: int) -> Draft:
        """Return who buys where in sale `number`: the same number is always the same sale.

        Raises ValueError when the terminals have no STANs left.
        """
        world = self._world
        rank, terminal = divmod(number, len(world.terminals))
        if rank >= STAN_MAX:
            raise ValueError(f"sale {number}: the STANs of {len(world.terminals)} terminals end")
        chance = _mixed(number)
        if self._traffic is Traffic.WARM:
            card = number % world.cards
            holder_id = id_of("holder", card)
        elif self._traffic is Traffic.HOT and chance % 100 < HOT_PERCENT:
            card = (chance >> 8) % world.hot_cards
            holder_id = HOT_HOLDER.bytes
        else:
            card = (chance >> 8) % world.cards
            holder_id = id_of("holder", card)
        return Draft(number, terminal, rank + 1, card, id_of("card", card), holder_id)

    def request(self, draft: Draft, signed_at_ms: int) -> Request:
        """Return a sale that is not signed yet (64 zero bytes stand for the signature)."""
        several = self._traffic in (Traffic.THREE, Traffic.WARM)
        lines = ITEM_CLASSES if several else ITEM_CLASSES[:1]
        return Request(
            kind=Kind.SALE,
            key=TransactionKey(
                self._world.business_date,
                self._world.terminals[draft.terminal].terminal_id,
                draft.stan,
                MessageClass.FINANCIAL,
            ),
            issuer_region=REGION,
            card_id=draft.card_id,
            holder_id=draft.holder_id,
            terminal_epoch=1,
            terminal_sequence=draft.sequence,
            signed_at_ms=signed_at_ms,
            service=SERVICE,
            service_version=SERVICE_VERSION,
            lines=tuple(Line(f"{name}-500", 1, PIECES, 0, PRICE_KOPECKS) for name in lines),
            nonce=_nonce(draft.number),
            signature=bytes(64),
        )

    def message(self, draft: Draft, signed_at_ms: int) -> bytes:
        """Return a sale as a terminal sends it, signed and sealed, without framing."""
        request = self.request(draft, signed_at_ms)
        digest = hashlib.sha256(canonical_bytes(request)).digest()
        signature = self.signature(draft, digest)
        local = datetime.fromtimestamp(signed_at_ms / 1000, ZoneInfo(TIME_ZONE))
        envelope = Envelope(
            key_id=self._world.terminals[draft.terminal].key_generation,
            sent_at_ms=signed_at_ms,
            local_time=f"{local:%H%M%S}",
            provider_id="BENCH",
        )
        signed = msgspec.structs.replace(request, signature=signature)
        return encode_request(signed, envelope, Profile.BINARY, self.mac_of(draft))

    def signature(self, draft: Draft, digest: bytes) -> bytes:
        """Return the signature of the sale's card."""
        return self._pen.signature(draft.card, digest)

    def mac_of(self, draft: Draft) -> Mac:
        """Return the key of the sale's terminal."""
        return self._macs[draft.terminal]

    def terminal_id_of(self, draft: Draft) -> str:
        """Return the id of the sale's terminal."""
        return self._world.terminals[draft.terminal].terminal_id


class Press:
    """Prints the messages of many sales of one moment from the first of them.

    Encoding each from its fields costs the generator more than the centre pays to read it, so only
    what differs is put in its place: in the bytes that the card signs, and in the message.
    """

    def __init__(self, sales: Sales, signed_at_ms: int) -> None:
        self._sales = sales
        model = sales.draft(0)
        model = msgspec.structs.replace(
            model,
            number=_MODEL_NUMBER,
            stan=_MODEL_STAN,
            holder_id=hashlib.sha256(b"holder").digest()[:16],
        )
        message = sales.message(model, signed_at_ms)
        signed = parse_message(message, Profile.BINARY).message
        assert isinstance(signed, Transaction)
        canonical = canonical_bytes(sales.request(model, signed_at_ms))
        self._canonical = Form(canonical, self._canonical_parts(model))
        self._message = Form(
            message[:-MAC_BYTES], self._message_parts(model, signed.request.signature)
        )

    def message(self, draft: Draft) -> bytes:
        """Return the message of a sale; the same as that of `Sales.message`."""
        canonical = self._canonical.filled(self._canonical_parts(draft))
        signature = self._sales.signature(draft, hashlib.sha256(canonical).digest())
        covered = self._message.filled(self._message_parts(draft, signature))
        return covered + self._sales.mac_of(draft).tag(covered)

    def _message_parts(self, draft: Draft, signature: bytes) -> tuple[bytes, ...]:
        return (
            b"%06d" % draft.stan,
            self._sales.terminal_id_of(draft).encode("ascii"),
            draft.card_id.hex().upper().encode("ascii"),
            draft.holder_id.hex().upper().encode("ascii"),
            b"%d" % draft.sequence,
            _nonce(draft.number),
            signature,
        )

    def _canonical_parts(self, draft: Draft) -> tuple[bytes, ...]:
        return (
            self._sales.terminal_id_of(draft).encode("ascii") + draft.stan.to_bytes(4),
            draft.card_id,
            draft.holder_id,
            draft.sequence.to_bytes(8),
            _nonce(draft.number),
        )


class Form:
    """Bytes with places to be filled in, each as long as what the model holds there."""

    def __init__(self, model: bytes, parts: tuple[bytes, ...]) -> None:
        places = [_only_place(model, part) for part in parts]
        self._order = sorted(range(len(parts)), key=places.__getitem__)
        self._between = []
        end = 0
        for number in self._order:
            self._between.append(model[end : places[number]])
            end = places[number] + len(parts[number])
        self._rest = model[end:]

    def filled(self, parts: tuple[bytes, ...]) -> bytes:
        """Return the bytes with other parts, of the same lengths, in the model's places."""
        pieces: list[bytes] = []
        for between, number in zip(self._between, self._order, strict=True):
            pieces += (between, parts[number])
        pieces.append(self._rest)
        return b"".join(pieces)


def _nonce(number: int) -> bytes:
    return _mixed(number).to_bytes(8) + number.to_bytes(8)


def _mixed(number: int) -> int:
    """Return 64 bits that look like chance (the finalizer of SplitMix64)."""
    z = (number + 1) * 0x9E3779B97F4A7C15 & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return z ^ z >> 31


def _only_place(text: bytes, part: bytes) -> int:
    if text.count(part) != 1:
        raise ValueError(f"{part!r} stands {text.count(part)} times in the model message")
    return text.index(part)
