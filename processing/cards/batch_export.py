"""Data preparation: a station's open orders as a batch that it needs no master key for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import asyncpg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_stub.client.commands import BatchOrder, WrapBatch
from processing.kernel.database import DatabasePool
from processing.kernel.errors import ConfigurationError
from processing.wire.batch_file import CARDS_OF_PART_MAX, PARTS_MAX, batch_bytes

ORDERS_MAX: Final = CARDS_OF_PART_MAX * PARTS_MAX
ADMIN_KEY_VERSION: Final = 1
BACKDATE_MS: Final = 60_000
"""Certificates begin a minute ago, for terminals whose clocks are a little behind."""

_OPEN: Final = """
    SELECT order_id, card_id, card_number, issuer_region, valid_to, challenge
    FROM cards.card_order WHERE station_id = $1 AND state = 1
    ORDER BY ordered_at, order_id LIMIT $2
"""


class BatchWrapper(Protocol):
    """The part of the key service's client that a batch needs."""

    async def wrap_batch(self, command: WrapBatch) -> bytes:
        """Return one part of a batch, encrypted and signed."""


async def open_orders(pool: DatabasePool, station_id: str, most: int) -> list[BatchOrder]:
    """Return a station's orders that are not issued, the oldest first."""
    async with pool.connection() as connection:
        rows = await connection.fetch(_OPEN, station_id, min(most, ORDERS_MAX))
    return [_order(row) for row in rows]


async def export_batch(
    orders: Sequence[BatchOrder],
    station_key: bytes,
    batch_id: UUID,
    hsm: BatchWrapper,
    now_ms: int,
    *,
    make_keys: bool,
) -> bytes:
    """Return the batch of these orders for the station with this public key (65 bytes).

    With `make_keys` it brings each card's keys and certificates, else the cards make their own.
    Raises the errors of the key service; then there is no batch.
    """
    groups = [
        tuple(orders[place : place + CARDS_OF_PART_MAX])
        for place in range(0, len(orders), CARDS_OF_PART_MAX)
    ]
    parts = [
        await hsm.wrap_batch(
            WrapBatch(
                station_key=station_key,
                batch_id=batch_id.bytes,
                part=number,
                parts=len(groups),
                created_at_ms=now_ms,
                admin_version=ADMIN_KEY_VERSION,
                make_keys=make_keys,
                not_before_ms=now_ms - BACKDATE_MS,
                cards=group,
            )
        )
        for number, group in enumerate(groups, 1)
    ]
    return batch_bytes(parts)


def read_station_key(path: Path) -> bytes:
    """Return the public point in a PEM file; raises `ConfigurationError`."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no public key (PEM): {error}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ConfigurationError(f"the key in {path} is not of P-256")
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def _order(row: asyncpg.Record) -> BatchOrder:
    last = datetime.combine(row["valid_to"], time(23, 59, 59), UTC)
    return BatchOrder(
        order_id=row["order_id"].bytes,
        card_guid=row["card_id"].bytes,
        card_number=row["card_number"],
        issuer_region=row["issuer_region"],
        valid_to=row["valid_to"].isoformat(),
        challenge=row["challenge"],
        not_after_ms=int(last.timestamp()) * 1000,
    )
