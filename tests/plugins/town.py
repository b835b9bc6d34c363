"""A small town to serve: one region, a few services and terminals, citizens with cards and rights.

Everything is written straight into the tables, in force from 2020 to 2039, so that a real clock
serves. Every citizen has one card and one allowance of `granted` PILL, covered in full.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from processing.kernel.bucket import bucket_of
from processing.wire.digest import request_digest
from processing.wire.transaction import (
    CLASS_OF_KIND,
    Evidence,
    Kind,
    Line,
    Request,
    SignatureAlgorithm,
    TransactionKey,
)

ZONE: Final = "Europe/Moscow"
REGION: Final = 99
SHOPS: Final = tuple(f"SHOP{number:04d}" for number in range(1, 9))
BLOCKED_SHOP: Final = "SHOP9999"
GRANTED: Final = 1_000
PRICE_KOPECKS: Final = 10_000
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Number of points of P-256 (SP 800-186 3.2.1.3)."""

_FROM: Final = date(2020, 1, 1)
_TO: Final = date(2039, 12, 31)
_PREHASHED: Final = ec.ECDSA(Prehashed(hashes.SHA256()))
_PROVIDER: Final = UUID("00000000-0000-0000-0000-0000000000a1")
_SEED: Final = """
    INSERT INTO regulations.region VALUES (99, 'Europe/Moscow', 'Городок', 'Town');
    INSERT INTO regulations.measure VALUES ('FREE', 'Бесплатно', 'Free', 'federal');
    INSERT INTO regulations.service (
        service, version, name_ru, name_en, consumes, shortage, evidence, valid_from, valid_to
    ) VALUES
        ('MED', 1, 'Лекарства', 'Medicines', 1, 1, 1, '2020-01-01', '2039-12-31'),
        ('STRICT', 1, 'С ПИН', 'With PIN', 1, 1, 2, '2020-01-01', '2039-12-31'),
        ('OLD', 1, 'Прежняя', 'Old', 1, 1, 1, '2020-01-01', '2020-12-31'),
        ('AWAY', 1, 'Не здесь', 'Not here', 1, 1, 1, '2020-01-01', '2039-12-31');
    UPDATE regulations.service SET reserve_minutes = 30 WHERE service = 'MED';
    INSERT INTO regulations.price_rule
    SELECT s.service, s.version, 'FREE', 100, FALSE, 'T-1' FROM regulations.service AS s;
    INSERT INTO regulations.item VALUES
        ('PILL', 'PILL', 796, 0, NULL, 'Таблетки', 'Pills'),
        ('SYRUP', 'SYRUP', 796, 0, NULL, 'Сироп', 'Syrup');
    INSERT INTO terminals.provider VALUES (
        '00000000-0000-0000-0000-0000000000a1', 'APTEKA-7', '7707083893', 'pharmacy', 'Аптека 7',
        'Pharmacy 7', 'D-1'
    );
"""


class Citizen(msgspec.Struct, frozen=True):
    """A citizen with a card whose private keys the test knows."""

    number: int
    holder_id: bytes
    card_id: bytes
    tap: Any
    pin: Any


def citizen(number: int) -> Citizen:
    """Return citizen `number`, from 1; always the same one."""
    return Citizen(
        number,
        UUID(int=0x0195_0000_0000_7000_8000_0000_0000_0000 + number).bytes,
        UUID(int=0x0196_0000_0000_7000_8000_0000_0000_0000 + number).bytes,
        ec.derive_private_key(2 * number + 1_000_001, ec.SECP256R1()),
        ec.derive_private_key(2 * number + 1_000_002, ec.SECP256R1()),
    )


async def build_town(
    connection: asyncpg.Connection, citizens: int = 8, granted: int = GRANTED
) -> None:
    """Fill an empty, migrated database; `connection` is a superuser's."""
    await connection.execute(_SEED)
    for shop in SHOPS:
        await add_shop(connection, shop)
    await add_shop(connection, BLOCKED_SHOP, state=2)
    for number in range(1, citizens + 1):
        await add_citizen(connection, citizen(number), granted)


async def add_shop(connection: asyncpg.Connection, terminal_id: str, state: int = 1) -> None:
    """Register a terminal; `state` 1 active, 2 blocked."""
    await connection.execute(
        "INSERT INTO terminals.terminal (terminal_id, provider_id, region, state) "
        "VALUES ($1, $2, $3, $4)",
        terminal_id,
        _PROVIDER,
        REGION,
        state,
    )
    await connection.executemany(
        "INSERT INTO terminals.terminal_service VALUES ($1, $2)",
        [(terminal_id, service) for service in ("MED", "STRICT", "OLD")],
    )


async def add_citizen(
    connection: asyncpg.Connection, who: Citizen, granted: int = GRANTED, state: int = 1
) -> None:
    """Register a citizen's card, and the right where that is kept; `state` 1 active, 2 blocked."""
    bucket, holder, card = bucket_of(who.holder_id), UUID(bytes=who.holder_id), _card_uuid(who)
    await connection.execute(
        "INSERT INTO cards.card VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        card,
        f"964390{who.number:013d}",
        holder,
        REGION,
        state,
        _TO,
        _point(who.tap),
        _point(who.pin),
        b"tap",
        b"pin",
        datetime.now(UTC),
    )
    await authorize(connection, who, who, state)
    if not await serves(connection, bucket):
        return
    await connection.execute(
        "INSERT INTO rights.allowance VALUES "
        "($1, $2, $3, $4, 'FREE', 'VETERAN', 'federal', 'PILL', 796, 0, $5, 0, $6, $7)",
        bucket,
        holder,
        allowance_id(who),
        UUID(int=0xE000_0000 + who.number),
        granted,
        _FROM,
        _TO,
    )


async def authorize(
    connection: asyncpg.Connection, card: Citizen, holder: Citizen, state: int = 1
) -> None:
    """Let a citizen's card act for a holder whose rights are kept here; `state` is the card's."""
    if not await serves(connection, bucket_of(holder.holder_id)):
        return
    await connection.execute(
        "INSERT INTO rights.card_authority VALUES ($1, $2, $3, $4, NULL, $5, $6, $7, $8)",
        bucket_of(holder.holder_id),
        UUID(bytes=holder.holder_id),
        _card_uuid(card),
        REGION,
        _FROM,
        _TO,
        state,
        _TO,
    )


async def serves(connection: asyncpg.Connection, bucket: int) -> bool:
    """Whether this database serves a bucket; one that serves alone serves every one."""
    return bool(
        await connection.fetchval(
            "SELECT $1 BETWEEN first_bucket AND last_bucket FROM rights.target", bucket
        )
    )


def allowance_id(who: Citizen) -> UUID:
    """Return the id of a citizen's allowance."""
    return UUID(int=0xA000_0000 + who.number)


def business_day(at_ms: int | None = None) -> date:
    """Return the town's date, by default today's."""
    seconds = (now_ms() if at_ms is None else at_ms) // 1000
    return datetime.fromtimestamp(seconds, ZoneInfo(ZONE)).date()


def now_ms() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def pills(quantity: int) -> Line:
    """Return a line of so many PILL at `PRICE_KOPECKS` each."""
    return Line("PILL", quantity, 796, 0, quantity * PRICE_KOPECKS)


class Shop:
    """Rings up at one terminal, under rising numbers."""

    def __init__(self, terminal_id: str = SHOPS[0], first_stan: int = 1) -> None:
        self.terminal_id = terminal_id
        self._stans: Iterator[int] = itertools.count(first_stan)

    def stan(self) -> int:
        """Return the next number."""
        return next(self._stans)

    def sale(self, who: Citizen, quantity: int = 1, **changes: Any) -> Request:
        """Return a signed sale of PILL at `PRICE_KOPECKS`; `changes` are made before signing."""
        return self.request(Kind.SALE, who, **({"lines": (pills(quantity),)} | changes))

    def reserve(self, who: Citizen, quantity: int = 1, **changes: Any) -> Request:
        """Return a signed reservation of PILL."""
        return self.request(Kind.RESERVE, who, **({"lines": (pills(quantity),)} | changes))

    def completion(self, reserve: Request, quantity: int, **changes: Any) -> Request:
        """Return the advice of what was taken of a reservation."""
        told: dict[str, Any] = {
            "parent": reserve.key,
            "card_id": reserve.card_id,
            "holder_id": reserve.holder_id,
            "service": reserve.service,
            "evidence": Evidence.NONE,
            "advice": True,
            "lines": (pills(quantity),),
        }
        return self.request(Kind.COMPLETION, None, **(told | changes))

    def return_of(self, original: Request, who: Citizen, quantity: int, **changes: Any) -> Request:
        """Return a signed request that brings back PILL of a sale or completion."""
        told: dict[str, Any] = {
            "parent": original.key,
            "holder_id": original.holder_id,
            "service": original.service,
            "lines": (pills(quantity),),
        }
        return self.request(Kind.RETURN, who, **(told | changes))

    def inquiry(self, who: Citizen, **changes: Any) -> Request:
        """Return a signed question about all rights."""
        told = {"service": "ALL", "service_version": 0, "holder_id": bytes(16)}
        return self.request(Kind.INQUIRY, who, **(told | changes))

    def reversal(self, original: Request, **changes: Any) -> Request:
        """Return the request that takes `original` back."""
        told: dict[str, Any] = {
            "parent": original.key,
            "card_id": original.card_id,
            "holder_id": original.holder_id,
            "service": original.service,
            "evidence": Evidence.NONE,
        }
        return self.request(Kind.REVERSAL, None, **(told | changes))

    def request(self, kind: Kind, who: Citizen | None, **changes: Any) -> Request:
        """Return any request, signed by `who` as its evidence says; None signs nothing."""
        stan = self.stan()
        value: dict[str, Any] = {
            "kind": kind,
            "key": TransactionKey(business_day(), self.terminal_id, stan, CLASS_OF_KIND[kind]),
            "issuer_region": REGION,
            "card_id": bytes(16) if who is None else who.card_id,
            "holder_id": bytes(16) if who is None else who.holder_id,
            "terminal_epoch": 1,
            "terminal_sequence": stan,
            "signed_at_ms": now_ms(),
            "service": "MED",
            "service_version": 1,
            "nonce": os.urandom(16),
        } | changes
        if value.get("evidence") is Evidence.NONE:
            return Request(**(value | {"algorithm": SignatureAlgorithm.NONE}))
        request = Request(**value)
        return request if who is None else signed(request, who)


def signed(request: Request, who: Citizen, *, high: bool = False) -> Request:
    """Return the request signed by tap or PIN as its evidence says; `high` leaves a high S."""
    signature = signature_of(request_digest(request), request.evidence, who, high=high)
    return msgspec.structs.replace(request, signature=signature)


def signature_of(digest: bytes, evidence: Evidence, who: Citizen, *, high: bool = False) -> bytes:
    """Return what the citizen's card signs for a digest: raw r‖s, 64 bytes."""
    key = who.pin if evidence is Evidence.PIN else who.tap
    r, s = decode_dss_signature(key.sign(digest, _PREHASHED))
    if (s > ORDER // 2) is not high:
        s = ORDER - s
    return r.to_bytes(32) + s.to_bytes(32)


def _card_uuid(who: Citizen) -> UUID:
    return UUID(bytes=who.card_id)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
