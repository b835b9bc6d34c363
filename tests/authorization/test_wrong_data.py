"""What a faulty worker sends gets an outcome or an exception, never half a batch."""

from __future__ import annotations

from typing import Any, cast

import asyncpg
import msgspec
import pytest

from processing.authorization.columns import COLUMNS, Column, batch_columns
from processing.authorization.model import Case
from processing.authorization.store import _AUTHORIZE
from processing.kernel.roles import Role
from processing.wire.transaction import Kind, Line, MessageClass, TransactionKey
from tests.authorization.world import DAY, NOW, PIECE, Centre, grant, pills, reversal, sale

LINE_COLUMNS = {
    "line_ordinal",
    "line_no",
    "item",
    "quantity",
    "unit_okei",
    "scale",
    "gross_kopecks",
}
REQUEST_COLUMNS = COLUMNS.keys() - LINE_COLUMNS
TABLES = ("journal.event", "journal.line", "journal.block", "journal.child", "rights.counter")


async def call(
    world: asyncpg.Connection,
    cases: list[Case],
    changes: dict[str, Any] | None = None,
) -> list[asyncpg.Record]:
    """Call the function directly, as the processing role, the last value of columns changed."""
    columns = dict(zip(COLUMNS, batch_columns(cases), strict=True))
    for name, value in (changes or {}).items():
        columns[name] = last_changed(columns[name], value)
    async with world.transaction():
        await world.execute(f"SET LOCAL ROLE {Role.PROCESSING.value}")
        answers = await world.fetch(_AUTHORIZE, 1, 1, NOW, DAY, *columns.values())
        await world.execute("RESET ROLE")
    return answers


def last_changed(column: Column, value: Any) -> Any:
    if column is not None and not isinstance(column, str):
        return [*column[:-1], value]
    assert column is not None
    written = "NULL" if value is None else f'"{value}"'
    return f"{{{','.join([*column[1:-1].split(',')[:-1], written])}}}"


async def rows_in(world: asyncpg.Connection) -> int:
    counts = [await world.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES]  # noqa: S608
    return int(sum(counts))


NEEDED = REQUEST_COLUMNS - {
    # read only for what they may be
    "proof",
    "line_count",
    *(column for column in REQUEST_COLUMNS if column.startswith("parent_")),
}


@pytest.mark.parametrize("column", sorted(NEEDED))
async def test_a_missing_value_stops_the_whole_batch(
    world: asyncpg.Connection, column: str
) -> None:
    await grant(world, "PILL", 5)
    with pytest.raises(asyncpg.PostgresError):
        await call(world, [sale(1, pills(1, 100)), sale(2, pills(1, 100))], {column: None})
    assert await rows_in(world) == 0


@pytest.mark.parametrize(
    "column", ["parent_business_date", "parent_terminal_id", "parent_stan", "parent_message_class"]
)
async def test_a_reversal_of_nothing_stops_the_whole_batch(
    world: asyncpg.Connection, column: str
) -> None:
    await grant(world, "PILL", 5)
    original = sale(1, pills(1, 100))
    with pytest.raises(asyncpg.PostgresError):
        await call(world, [original, reversal(2, original)], {column: None})
    assert await rows_in(world) == 0


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"proof": None}, 302),
        ({"proof": 9}, 302),
        ({"terminal_id": "NOWHERE1"}, 202),
        ({"holder_id": "00000000-0000-0000-0000-0000000000ff"}, 305),
        ({"bucket": 7}, 305),
        ({"service": ""}, 401),
        ({"service_version": -1}, 403),
    ],
)
async def test_a_wrong_value_is_refused(
    world: asyncpg.Connection, changes: dict[str, Any], outcome: int
) -> None:
    await grant(world, "PILL", 5)
    answers = await call(world, [sale(1, pills(1, 100)), sale(2, pills(1, 100))], changes)
    assert {row["ordinal"]: row["outcome"] for row in answers} == {1: 703, 2: outcome}


@pytest.mark.parametrize(
    "line",
    [
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": None},
        {"gross_kopecks": -1},
        {"gross_kopecks": None},
        {"unit_okei": None},
        {"scale": None},
        {"line_ordinal": 77},
        {"line_no": None},
    ],
)
async def test_a_line_that_makes_no_sense_is_refused(
    world: asyncpg.Connection, line: dict[str, Any]
) -> None:
    pill = await grant(world, "PILL", 5)
    answers = await call(world, [sale(1, pills(1, 100)), sale(2, pills(1, 100))], line)
    assert {row["ordinal"]: row["outcome"] for row in answers} == {1: 703, 2: 405}
    assert await Centre(world).used(pill) == 1


async def test_a_sale_without_lines_is_refused(world: asyncpg.Connection, centre: Centre) -> None:
    await grant(world, "PILL", 5)
    assert (await centre.decide_one(sale(1))).outcome == 405


async def test_a_kind_that_is_not_decided_here_stops_the_batch(world: asyncpg.Connection) -> None:
    await grant(world, "PILL", 5)
    other = sale(2, pills(1, 100))
    other = msgspec.structs.replace(
        other, request=msgspec.structs.replace(other.request, kind=cast(Kind, 9))
    )
    with pytest.raises(asyncpg.InvalidParameterValueError, match="nothing of the centre's own"):
        await call(world, [sale(1, pills(1, 100)), other])
    assert await rows_in(world) == 0


async def test_a_key_twice_in_a_batch_stops_it(world: asyncpg.Connection) -> None:
    await grant(world, "PILL", 5)
    with pytest.raises(asyncpg.UniqueViolationError):
        await call(world, [sale(1, pills(1, 100)), sale(1, pills(2, 100))])
    assert await rows_in(world) == 0


async def test_a_block_twice_stops_the_batch(world: asyncpg.Connection) -> None:
    await grant(world, "PILL", 5)
    await call(world, [sale(1, pills(1, 100))])
    before = await rows_in(world)
    with pytest.raises(asyncpg.UniqueViolationError):
        await call(world, [sale(2, pills(1, 100))])
    assert await rows_in(world) == before


async def test_an_empty_batch_writes_nothing(world: asyncpg.Connection) -> None:
    assert await call(world, []) == []
    assert await rows_in(world) == 0


async def test_an_excess_of_nonsense_is_no_debit(world: asyncpg.Connection, centre: Centre) -> None:
    pill = await grant(world, "PILL", 5)
    lines = (Line("PILL", 5, PIECE, 3, 100), pills(5, 100))
    ruling = await centre.decide_one(sale(1, *lines, advice=True))
    assert (ruling.outcome, ruling.facts["reason"]) == (701, "405")
    assert await centre.used(pill) == 0


async def test_a_reversal_across_terminals_is_refused_whatever_it_names(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 5)
    foreign = TransactionKey(DAY, "T0000002", 1, MessageClass.FINANCIAL)
    wish = reversal(2, foreign, terminal="T0000001")
    assert (await centre.decide_one(wish)).outcome == 502
    assert (await centre.decide_one(msgspec.structs.replace(wish))).replayed
    assert await world.fetchval("SELECT count(*) FROM journal.child") == 0
