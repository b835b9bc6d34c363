"""Fills the naive reference's database with the same cards, terminals and items."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import asyncpg

from bench.keys import public_points
from bench.world import (
    GRANTED,
    ITEM_CLASSES,
    PRICE_KOPECKS,
    World,
    uuid_of,
)


async def load_naive(connection: asyncpg.Connection[asyncpg.Record], world: World) -> None:
    """Create the tables in an empty database and fill them."""
    await connection.execute((Path(__file__).parent / "schema.sql").read_text("utf-8"))
    # Streams, since a list of a million cards' rows would take a gigabyte.
    tables: dict[str, Iterable[tuple[object, ...]]] = {
        "terminal": ((terminal.terminal_id, True) for terminal in world.terminals),
        "card": (
            (uuid_of("card", i), uuid_of("holder", i), point, True)
            for i, point in enumerate(public_points(0, world.cards))
        ),
        "item": ((f"{one}-500", one, 50, PRICE_KOPECKS * 2) for one in ITEM_CLASSES),
        "allowance": (
            (i * len(ITEM_CLASSES) + n, uuid_of("holder", i), item_class, GRANTED)
            for i in range(world.cards)
            for n, item_class in enumerate(ITEM_CLASSES)
        ),
    }
    for table, rows in tables.items():
        await connection.copy_records_to_table(table, records=rows)
    await connection.execute("ANALYZE")
