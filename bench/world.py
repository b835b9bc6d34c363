"""The people, cards and terminals of a measurement, made from numbers and loaded with COPY.

Allowances are so large that no run exhausts them: every sale is approved.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from bench.keys import public_points
from processing.kernel.bucket import bucket_of

REGION: Final = 66
TIME_ZONE: Final = "Asia/Yekaterinburg"
SERVICE: Final = "BENCH-MED"
SERVICE_VERSION: Final = 1
MEASURE: Final = "BENCH-HALF"
ITEM_CLASSES: Final = ("M01", "M02", "M03")
PIECES: Final = 796
GRANTED: Final = 10**12
PRICE_KOPECKS: Final = 12_550
HOT_CARDS_MAX: Final = 1_000
"""Most cards that share the hot allowance of one household."""

ALLOWANCES_PER_HOLDER: Final = len(ITEM_CLASSES)
CHUNK_CARDS: Final = 10_000
CERTIFICATE_BYTES: Final = 450
"""Size of a card's certificate; the rows of cards are as wide as real ones, the bytes are not."""

_SERIES: Final[dict[str, int]] = {"card": 0xCA4D, "holder": 0x401D, "allowance": 0xA110, "right": 1}

HOT_HOLDER: Final = UUID(int=0x407 << 100)
"""The household on whose one allowance the hot traffic falls."""


class BenchTerminal(msgspec.Struct, frozen=True):
    """A terminal and its MAC key."""

    terminal_id: str
    key_generation: int
    mac_key: bytes


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What a load generator must know. It holds MAC keys of a scratch rig, worth nothing after."""

    cards: int
    business_date: date
    terminals: tuple[BenchTerminal, ...]
    receipt_key: bytes

    @property
    def hot_cards(self) -> int:
        """How many cards may use the hot allowance."""
        return min(self.cards, HOT_CARDS_MAX)


def uuid_of(series: str, number: int) -> UUID:
    """Return the UUID of thing `number` of a series (card, holder, allowance, right)."""
    return UUID(bytes=id_of(series, number))


def id_of(series: str, number: int) -> bytes:
    """Return the same UUID's sixteen bytes."""
    return (_SERIES[series] << 100 | number).to_bytes(16)


def terminal_id_of(number: int) -> str:
    """Return the id of terminal `number`."""
    return f"B{number:07d}"


async def load(
    connection: asyncpg.Connection[asyncpg.Record], today: date, cards: int, terminals: int
) -> None:
    """Fill a migrated, empty database; `connection` is a superuser's."""
    term = (today - timedelta(days=400), today + timedelta(days=1_500))
    await _load_rules(connection, term, terminals)
    for first in range(0, cards, CHUNK_CARDS):
        numbers = range(first, min(first + CHUNK_CARDS, cards))
        for table, rows in (
            ("cards.card", _cards(numbers, term)),
            ("rights.card_authority", _authorities(numbers, term)),
            ("rights.entitlement", _entitlements(numbers, term)),
            ("rights.allowance", _allowances(numbers, term)),
        ):
            await _copy(connection, table, rows)
    hot = range(min(cards, HOT_CARDS_MAX))
    await _copy(connection, "rights.card_authority", (_authority(i, HOT_HOLDER, term) for i in hot))
    right = uuid_of("right", cards)
    await _copy(connection, "rights.entitlement", [_entitlement(HOT_HOLDER, right, term)])
    hot_allowance = _allowance(HOT_HOLDER, right, cards * ALLOWANCES_PER_HOLDER, "M01", term)
    await _copy(connection, "rights.allowance", [hot_allowance])
    # What is still empty is left alone: plans made for an empty table are many times slower once it
    # fills, and no installation has its counters analysed before the first sale.
    await connection.execute(
        "ANALYZE cards.card, rights.card_authority, rights.entitlement, rights.allowance"
    )


async def _load_rules(
    connection: asyncpg.Connection[asyncpg.Record], term: tuple[date, date], terminals: int
) -> None:
    names = {"name_ru": "Измерение", "name_en": "Measurement"}
    provider = UUID(int=0x9)
    service = {"service": SERVICE, "version": SERVICE_VERSION}
    rule = {"measure": MEASURE, "percent": 50, "capped": True, "tariff": "BENCH"}
    terms = {"valid_from": term[0], "valid_to": term[1]}
    tables: dict[str, list[dict[str, Any]]] = {
        "regulations.region": [{"region": REGION, "time_zone": TIME_ZONE} | names],
        "regulations.measure": [{"measure": MEASURE, "funding": "regional"} | names],
        "regulations.service": [
            service | names | terms | {"consumes": 1, "shortage": 1, "evidence": 1}
        ],
        "regulations.price_rule": [service | rule],
        "regulations.item": [
            {"item": f"{item_class}-500", "item_class": item_class, "unit_okei": PIECES, "scale": 0}
            | {"cap_kopecks": PRICE_KOPECKS * 2}
            | names
            for item_class in ITEM_CLASSES
        ],
        "terminals.provider": [
            {"provider_id": provider, "code": "BENCH", "inn": "7707083893", "kind": "pharmacy"}
            | {"contract": "B-1"}
            | names
        ],
        "terminals.terminal": [
            {"terminal_id": terminal_id_of(i), "provider_id": provider, "region": REGION}
            for i in range(terminals)
        ],
        "terminals.terminal_service": [
            {"terminal_id": terminal_id_of(i), "service": SERVICE} for i in range(terminals)
        ],
    }
    for table, rows in tables.items():
        await _copy(connection, table, rows)


def _cards(numbers: range, term: tuple[date, date]) -> Iterator[dict[str, Any]]:
    certificate = bytes(CERTIFICATE_BYTES)
    issued_at = datetime.combine(term[0], time(), UTC)
    points = public_points(numbers.start, len(numbers))
    for i, point in zip(numbers, points, strict=True):
        yield {
            "card_id": uuid_of("card", i),
            "card_number": f"964390{i:013d}",
            "holder_id": uuid_of("holder", i),
            "issuer_region": REGION,
            "state": 1,
            "valid_to": term[1],
            "public_key_tap": point,
            "public_key_pin": point,
            "certificate_tap": certificate,
            "certificate_pin": certificate,
            "issued_at": issued_at,
        }


def _authorities(numbers: range, term: tuple[date, date]) -> Iterator[dict[str, Any]]:
    return (_authority(i, uuid_of("holder", i), term) for i in numbers)


def _authority(card: int, holder: UUID, term: tuple[date, date]) -> dict[str, Any]:
    return {
        "bucket": bucket_of(holder.bytes),
        "holder_id": holder,
        "card_id": uuid_of("card", card),
        "region": REGION,
        "valid_from": term[0],
        "valid_to": term[1],
        "card_state": 1,
        "card_valid_to": term[1],
    }


def _entitlements(numbers: range, term: tuple[date, date]) -> Iterator[dict[str, Any]]:
    return (_entitlement(uuid_of("holder", i), uuid_of("right", i), term) for i in numbers)


def _entitlement(holder: UUID, right: UUID, term: tuple[date, date]) -> dict[str, Any]:
    return {
        "bucket": bucket_of(holder.bytes),
        "holder_id": holder,
        "entitlement_id": right,
        "measure": MEASURE,
        "category": "BENCH",
        "valid_from": term[0],
        "valid_to": term[1],
        "decision_number": "B-1",
        "decided_on": term[0],
    }


def _allowances(numbers: range, term: tuple[date, date]) -> Iterator[dict[str, Any]]:
    for i in numbers:
        for n, item_class in enumerate(ITEM_CLASSES):
            number = i * ALLOWANCES_PER_HOLDER + n
            holder, right = uuid_of("holder", i), uuid_of("right", i)
            yield _allowance(holder, right, number, item_class, term)


def _allowance(
    holder: UUID, right: UUID, number: int, item_class: str, term: tuple[date, date]
) -> dict[str, Any]:
    return {
        "bucket": bucket_of(holder.bytes),
        "holder_id": holder,
        "allowance_id": uuid_of("allowance", number),
        "entitlement_id": right,
        "measure": MEASURE,
        "category": "BENCH",
        "funding": "regional",
        "item_class": item_class,
        "unit_okei": PIECES,
        "scale": 0,
        "granted": GRANTED,
        # a month
        "period": 3,
        "valid_from": term[0],
        "valid_to": term[1],
    }


async def _copy(
    connection: asyncpg.Connection[asyncpg.Record],
    table: str,
    rows: Iterator[dict[str, Any]] | list[dict[str, Any]],
) -> None:
    """Copy rows that all have the same columns; other columns take their defaults."""
    listed = list(rows)
    if not listed:
        return
    schema, _, name = table.partition(".")
    await connection.copy_records_to_table(
        name,
        schema_name=schema,
        columns=list(listed[0]),
        records=[tuple(row.values()) for row in listed],
    )
