"""How a straightforward service decides a sale: one transaction, one statement after the other."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Final
from uuid import UUID

import asyncpg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from bench.naive.message import NaiveSale

_ALGORITHM: Final = ec.ECDSA(Prehashed(hashes.SHA256()))


class NaiveDesk:
    """Decides sales over a pool of connections; card keys that it saw are kept parsed."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._keys: dict[bytes, ec.EllipticCurvePublicKey] = {}

    async def decide(self, sale: NaiveSale) -> str:
        """Return the outcome in a word: approved, repeated, or why it was refused."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await self._decide(connection, sale)

    async def _decide(
        self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record], sale: NaiveSale
    ) -> str:
        day = date.fromisoformat(sale.business_date)
        key = (day, sale.terminal, sale.stan)
        known = await connection.fetchval(
            "SELECT outcome FROM sale WHERE (business_date, terminal_id, stan) = ($1, $2, $3)", *key
        )
        if known is not None:
            return "repeated"
        if not await connection.fetchval(
            "SELECT active FROM terminal WHERE terminal_id = $1", sale.terminal
        ):
            return "terminal unknown"
        card = await connection.fetchrow(
            "SELECT public_key, active FROM card WHERE card_id = $1", UUID(sale.card)
        )
        if card is None or not card["active"]:
            return "card unknown"
        if not self._signed(sale, card["public_key"]):
            return "signature wrong"
        item = await connection.fetchrow("SELECT * FROM item WHERE item = $1", sale.item)
        if item is None:
            return "item unknown"
        allowance = await connection.fetchrow(
            "SELECT allowance_id, remaining FROM allowance "
            "WHERE holder_id = $1 AND item_class = $2 FOR UPDATE",
            UUID(sale.holder),
            item["item_class"],
        )
        if allowance is None or allowance["remaining"] < sale.quantity:
            return "nothing left"
        await connection.execute(
            "UPDATE allowance SET remaining = remaining - $2 WHERE allowance_id = $1",
            allowance["allowance_id"],
            sale.quantity,
        )
        price = min(sale.gross_kopecks, item["cap_kopecks"] * sale.quantity)
        covered = (price * item["percent"] + 50) // 100
        await connection.execute(
            "INSERT INTO sale (business_date, terminal_id, stan, card_id, outcome, "
            "covered_kopecks, signature) VALUES ($1, $2, $3, $4, 'approved', $5, $6)",
            *key,
            UUID(sale.card),
            covered,
            bytes.fromhex(sale.signature),
        )
        await connection.execute(
            "INSERT INTO sale_line VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            *key,
            sale.item,
            sale.quantity,
            sale.gross_kopecks,
            covered,
            allowance["allowance_id"],
        )
        return "approved"

    def _signed(self, sale: NaiveSale, point: bytes) -> bool:
        key = self._keys.get(point)
        if key is None:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            self._keys[point] = key
        signature = bytes.fromhex(sale.signature)
        r, s = (int.from_bytes(signature[at : at + 32]) for at in (0, 32))
        try:
            key.verify(
                encode_dss_signature(r, s), hashlib.sha256(sale.signed_text).digest(), _ALGORITHM
            )
        except InvalidSignature:
            return False
        return True
