"""`python -m bench.regulation_replay`: a million past transactions through a draft regulation.

An empty centre gets a month of history of discounted medicines: every holder has a right to four
packs a month and asked for five, so every fifth transaction was refused. The draft raises the
regional discount from 50 to 60 percent. What the replay must find is worked out beside it in plain
Python and compared to the kopeck.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import asyncpg
import cyclopts
import msgspec
from cyclopts import Parameter, validators

from bench import usage
from processing.kernel.bucket import bucket_of
from processing.kernel.database import REPORTING_LIMITS, open_pool
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.migrate import migrate
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root
from processing.kernel.target_pools import alone
from processing.region.generate import RegionOrder, generate, load_sources
from processing.region.store import load_region
from processing.regulations.document import read_regulation
from processing.regulations.replay import SESSIONS, Done, Place, replay, under_draft
from processing.regulations.shipped import CATALOGUE
from processing.wire.digest import canonical_bytes
from processing.wire.transaction import Kind, Line, MessageClass, Request, TransactionKey

TRANSACTIONS: Final = 1_000_000
ASKED_PER_HOLDER: Final = 5
GRANTED_PACKS: Final = 4
FIRST_DAY: Final = date(2026, 10, 1)
DAYS: Final = 30
BLOCK_LEAVES: Final = 20
SERVICE: Final = "MEDICINE"
MEASURES: Final = {"MED.FED": 100, "MED.REG": 50}
ITEM: Final = ("ENALAPRIL-10-20", "ENALAPRIL")
PRICE_KOPECKS: Final = (5_001, 14_000)
"""From and to; below the item's cap."""
REGION: Final = 66
CHUNK: Final = 20_000
BASE_MS: Final = int(datetime(2026, 9, 30, 19, tzinfo=UTC).timestamp() * 1000)
"""Midnight of the first day in the region."""

AFTER: Final = {"MED.FED": 100, "MED.REG": 60}
EXPECTED: Final = (
    "before_approved",
    "after_approved",
    "before_refused",
    "after_refused",
    "before_kopecks",
    "after_kopecks",
    "gainers",
    "losers",
)
EVENT_COLUMNS: Final = (
    "bucket business_date terminal_id stan message_class lane block ordinal kind advice evidence "
    "card_id holder_id service service_version signed_at local_date posting_date decided_at "
    "request_digest request signature outcome approval_code covered_kopecks paid_kopecks"
)
LINE_COLUMNS: Final = (
    "bucket business_date terminal_id stan message_class line_no part item quantity gross_kopecks "
    "covered_kopecks paid_kopecks allowance_id period_start debited entitlement_id measure "
    "category funding tariff"
)

app = cyclopts.App(name="bench.regulation_replay", help="Measure the replay of a regulation.")


@app.default
def run(
    *,
    transactions: Annotated[int, Parameter(validator=validators.Number(gte=10))] = TRANSACTIONS,
) -> int:
    """Fill a database, replay its history through a draft, and print time and result."""
    home = Path(tempfile.mkdtemp(prefix="spk-bench-"))
    # PostgreSQL runs as another user when this is root, and must get through.
    home.chmod(0o711)
    server = EmbeddedPostgres(home)
    try:
        server.start()
        return asyncio.run(_measure(server, transactions))
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


async def _measure(server: EmbeddedPostgres, transactions: int) -> int:
    dsn = server.superuser_dsn()
    await migrate(dsn, read_sql_folder(sql_root()))
    order = RegionOrder(citizens=60, seed=1, today=FIRST_DAY)
    pool = await open_pool(server.dsn(Role.OWNER), Role.OWNER, "bench", REPORTING_LIMITS)
    await load_region(alone(pool), generate(order, load_sources()), lambda count: None)
    await pool.close()
    began = time.monotonic()
    expected = await _fill(dsn, transactions)
    print(f"history: {expected['transactions']:,} transactions in {time.monotonic() - began:.0f} s")
    draft = resources.files("processing.regulations").joinpath(CATALOGUE, "medicine.toml")
    text = draft.read_text("utf-8").replace("percent = 50", "percent = 60")
    under = under_draft(read_regulation(text.encode(), "draft.toml"))
    places = [Place(dsn, dsn, (0, 511)), Place(dsn, dsn, (512, 1023))]
    last_day = FIRST_DAY + timedelta(days=DAYS - 1)
    size_before = await _disk(dsn)
    postmaster = server.status().process_id or 0
    began, cpu = time.monotonic(), time.process_time()
    database_us = usage.tree(postmaster).cpu_us
    watch = asyncio.create_task(_most_disk(dsn))
    done = await replay(places, under, FIRST_DAY, last_day)
    seconds = time.monotonic() - began
    cpu = time.process_time() - cpu
    database_us = usage.tree(postmaster).cpu_us - database_us
    watch.cancel()
    (total,) = (one for one in done.sums if one.level == "all")
    print(f"replay: {total.transactions:,} transactions in {seconds:.1f} s")
    print(
        f"CPU:    PostgreSQL {database_us / 1e6:.1f} s, replay {cpu:.1f} s; "
        f"{SESSIONS} sessions on {os.cpu_count()} cores"
    )
    print(f"disk:   {size_before / 2**20:,.0f} MiB live")
    print(
        f"result: approved {total.before_approved:,} -> {total.after_approved:,}, "
        f"refused {total.before_refused:,} -> {total.after_refused:,}"
    )
    print(
        f"        covered {total.before_kopecks:,} -> {total.after_kopecks:,} kopecks, "
        f"{total.gainers:,} gain, {total.losers:,} lose"
    )
    return _compare(done, expected)


def _compare(done: Done, expected: dict[str, int]) -> int:
    """Print whether the replay found what was worked out beside it."""
    (total,) = (one for one in done.sums if one.level == "all")
    found = msgspec.structs.asdict(total)
    wrong = {name: (value, found[name]) for name, value in expected.items() if found[name] != value}
    if wrong:
        print(f"WRONG: expected and found differ: {wrong}")
        return 1
    print("        exactly what was worked out beside it")
    return 0


async def _disk(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(
            await connection.fetchval("SELECT sum(pg_database_size(oid))::bigint FROM pg_database")
        )
    finally:
        await connection.close()


async def _most_disk(dsn: str) -> None:
    most = 0
    try:
        while True:
            most = max(most, await _disk(dsn))
            await asyncio.sleep(2)
    except asyncio.CancelledError:
        print(f"disk:   {most / 2**20:,.0f} MiB at most, scratch databases included")


async def _fill(dsn: str, transactions: int) -> dict[str, int]:
    """Write the history; return what a replay must find."""
    holders = transactions // ASKED_PER_HOLDER
    connection = await asyncpg.connect(dsn)
    await connection.execute("SET synchronous_commit = off")
    await connection.execute(
        "SELECT journal.ensure_partitions($1, $2)", FIRST_DAY, FIRST_DAY + timedelta(days=DAYS)
    )
    terminals = [
        row[0]
        for row in await connection.fetch(
            "SELECT terminal_id FROM terminals.terminal_service WHERE service = $1", SERVICE
        )
    ]
    people = [
        Person(_uuid(f"holder {n}"), _uuid(f"card {n}"), "MED.FED" if n % 5 < 3 else "MED.REG")
        for n in range(holders)
    ]
    await _give_rights(connection, people)
    found = await _write(connection, people, terminals)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return found


class Person(msgspec.Struct, frozen=True):
    """A rights holder, whose card and allowance have one number, and the measure granted."""

    holder_id: UUID
    card_id: UUID
    measure: str

    @property
    def bucket(self) -> int:
        """Where the holder's rows lie."""
        return bucket_of(self.holder_id.bytes)


async def _unit(connection: asyncpg.Connection) -> tuple[int, int]:
    (row,) = await connection.fetch(
        "SELECT unit_okei, scale FROM regulations.item WHERE item = $1", ITEM[0]
    )
    return row["unit_okei"], row["scale"]


def _uuid(text: str) -> UUID:
    return UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])


async def _give_rights(connection: asyncpg.Connection, people: list[Person]) -> None:
    rows = await connection.fetch("SELECT measure, funding FROM regulations.measure")
    funding = {row["measure"]: row["funding"] for row in rows}
    unit, scale = await _unit(connection)
    ends = date(2030, 12, 31)
    columns = (
        "bucket holder_id card_id region valid_from valid_to card_state card_valid_to",
        (
            "bucket holder_id allowance_id entitlement_id measure category funding item_class "
            "unit_okei scale granted period valid_from valid_to"
        ),
        "bucket allowance_id period_start used granted",
    )
    cards = (
        (one.bucket, one.holder_id, one.card_id, REGION, FIRST_DAY, ends, 1, ends) for one in people
    )
    allowances = (
        (
            *(one.bucket, one.holder_id, one.card_id, one.card_id, one.measure, one.measure),
            *(funding[one.measure], ITEM[1], unit, scale, GRANTED_PACKS, 3, FIRST_DAY, ends),
        )
        for one in people
    )
    counters = (
        (one.bucket, one.card_id, FIRST_DAY, GRANTED_PACKS, GRANTED_PACKS) for one in people
    )
    await _copy(connection, "rights.card_authority", columns[0], cards)
    await _copy(connection, "rights.allowance", columns[1], allowances)
    await _copy(connection, "rights.counter", columns[2], counters)


async def _write(
    connection: asyncpg.Connection, people: list[Person], terminals: list[str]
) -> dict[str, int]:
    """Write every person's sales, in the order in which they were decided."""
    chance = random.Random(1)
    unit, scale = await _unit(connection)
    turns = [place for place in range(len(people)) for _ in range(ASKED_PER_HOLDER)]
    chance.shuffle(turns)
    asked = [0] * len(people)
    found = dict.fromkeys(EXPECTED, 0) | {"transactions": len(turns)}
    events: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    step_ms = DAYS * 86_400_000 // len(turns)
    for number, place in enumerate(turns):
        one, asked[place] = people[place], asked[place] + 1
        gross = chance.randrange(*PRICE_KOPECKS)
        terminal = terminals[number % len(terminals)]
        moment = BASE_MS + number * step_ms
        event, line = _sale(
            one, number, terminal, moment, Line(ITEM[0], 1, unit, scale, gross), asked[place]
        )
        events.append(event)
        if line is None:
            found["before_refused"] += 1
        else:
            lines.append(line)
            found["before_kopecks"] += line[10]
            percent = AFTER[one.measure]
            found["after_kopecks"] += (gross * percent + 50) // 100
            found["before_approved"] += 1
        if len(events) == CHUNK or number == len(turns) - 1:
            await _copy(connection, "journal.event", EVENT_COLUMNS, events)
            await _copy(connection, "journal.line", LINE_COLUMNS, lines)
            events, lines = [], []
    found["after_refused"], found["after_approved"] = (
        found["before_refused"],
        found["before_approved"],
    )
    found["gainers"] = sum(one.measure == "MED.REG" for one in people)
    return found


def _sale(
    one: Person, number: int, terminal: str, moment_ms: int, line: Line, nth: int
) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
    """Return the rows of a sale as the engine writes them: the fifth of a holder is refused."""
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    day = (moment + timedelta(hours=5)).date()
    stan = number % 999_999 + 1
    request = Request(
        kind=Kind.SALE,
        key=TransactionKey(day, terminal, stan, MessageClass.FINANCIAL),
        issuer_region=REGION,
        card_id=one.card_id.bytes,
        holder_id=one.holder_id.bytes,
        terminal_epoch=1,
        terminal_sequence=number,
        signed_at_ms=moment_ms,
        service=SERVICE,
        service_version=1,
        nonce=number.to_bytes(16, "big"),
        lines=(line,),
    )
    paper = canonical_bytes(request)
    covered = (line.gross_kopecks * MEASURES[one.measure] + 50) // 100
    paid = line.gross_kopecks - covered
    sold = nth <= GRANTED_PACKS
    key = (one.bucket, day, terminal, stan, 2)
    event = (
        *key,
        *(1, number // BLOCK_LEAVES + 1, number % BLOCK_LEAVES, 3, False, 1),
        *(one.card_id, one.holder_id, SERVICE, 1, moment, day, day, moment),
        *(hashlib.sha256(paper).digest(), paper, bytes(64), 703 if sold else 602),
        *("123456" if sold else "", [covered] if sold else None, [paid] if sold else None),
    )
    if not sold:
        return event, None
    return event, (
        *key,
        *(1, 1, line.item, 1, line.gross_kopecks, covered, paid, one.card_id),
        *(day.replace(day=1), 1, one.card_id, one.measure, one.measure, "federal", "T"),
    )


async def _copy(
    connection: asyncpg.Connection, table: str, columns: str, rows: Iterable[tuple[Any, ...]]
) -> None:
    schema, name = table.split(".")
    await connection.copy_records_to_table(
        name, schema_name=schema, columns=columns.split(), records=rows
    )


if __name__ == "__main__":
    app()
