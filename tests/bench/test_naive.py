"""The naive reference does its work properly: else it would be no reference."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Final

import asyncpg
import msgspec
import pytest

from bench.naive.desk import NaiveDesk
from bench.naive.loading import load_naive
from bench.naive.message import NaiveSale, naive_sale
from bench.traffic import Sales, Traffic
from bench.world import GRANTED, BenchTerminal, World, terminal_id_of
from tests.plugins.postgres import Database

WORLD: Final = World(
    cards=3,
    business_date=date(2026, 3, 2),
    terminals=(BenchTerminal(terminal_id_of(0), 1, bytes(16)),),
    receipt_key=b"",
)
SALES: Final = Sales(WORLD, Traffic.SINGLE)


@pytest.fixture
async def pool(empty_database: Database) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    async with asyncpg.create_pool(empty_database.superuser_dsn, min_size=1, max_size=8) as pool:
        async with pool.acquire() as connection:
            await load_naive(connection, WORLD)  # type: ignore[arg-type] # a borrowed one serves too
        yield pool


async def taken(pool: asyncpg.Pool[asyncpg.Record]) -> int:
    """Return what all sales together took from the allowances."""
    left = await pool.fetchval("SELECT sum(remaining) FROM allowance")
    return int(GRANTED * 3 * WORLD.cards - left)


async def test_a_sale_debits_once(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    desk, sale = NaiveDesk(pool), naive_sale(SALES, SALES.draft(0))
    assert await desk.decide(sale) == "approved"
    assert await desk.decide(sale) == "repeated"
    assert await taken(pool) == 1
    row = await pool.fetchrow("SELECT gross_kopecks, covered_kopecks FROM sale_line")
    assert row is not None
    assert tuple(row) == (12_550, 6_275)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"terminal": "UNKNOWN1"}, "terminal unknown"),
        ({"card": "00" * 16}, "card unknown"),
        ({"gross_kopecks": 1}, "signature wrong"),
        ({"signature": "11" * 64}, "signature wrong"),
    ],
)
async def test_a_refusal_debits_nothing(
    pool: asyncpg.Pool[asyncpg.Record], changes: dict[str, object], outcome: str
) -> None:
    sale: NaiveSale = msgspec.structs.replace(naive_sale(SALES, SALES.draft(0)), **changes)
    assert await NaiveDesk(pool).decide(sale) == outcome
    assert (await taken(pool), await pool.fetchval("SELECT count(*) FROM sale")) == (0, 0)


async def test_the_last_piece_goes_to_one(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    await pool.execute("UPDATE allowance SET remaining = 1")
    card = SALES.draft(0).card
    numbers = [number for number in range(100) if SALES.draft(number).card == card][:8]
    desk = NaiveDesk(pool)
    outcomes = await asyncio.gather(
        *(desk.decide(naive_sale(SALES, SALES.draft(number))) for number in numbers)
    )
    assert sorted(outcomes) == ["approved"] + ["nothing left"] * 7
