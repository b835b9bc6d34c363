"""`python -m bench.card_orders`: the issuing office's lists and batches at a million card orders.

A PostgreSQL of its own is filled with invented people, applications, orders, batches and lives of
cards. Then the office's questions are asked one after another, as the role spk_issuing, through the
code that commands and stations use; beside the times stands how many rows of the large tables each
question read (PostgreSQL's own counts), which no other load on the machine changes.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import asyncpg
import cyclopts
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from processing.cards.applications import ApplicationKind, ApplicationStore, Desk, Open, Wish
from processing.cards.batches import BATCHES_SHOWN_MAX, BatchStore
from processing.cards.store import CardStore
from processing.kernel.clock import ManualClock
from processing.kernel.database import REPORTING_LIMITS, DatabasePool, open_pool
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.migrate import migrate
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root

ORDERS_DEFAULT: Final = 1_000_000
ASKED_DEFAULT: Final = 200
APPLIED_AT_ONCE: Final = 500
POINT: Final = "MFC-1"
NOON_MS: Final = 1_790_000_000_000
LARGE: Final = ("application", "card_order", "card", "transition")

# Of a thousand orders 990 became cards in their holders' hands, 5 wait for approval, 5 are being
# made. Nothing is personal: the register has only the people who apply now.
FILL: Final = """
INSERT INTO regulations.region VALUES (99, 'Asia/Yekaterinburg', 'Область', 'Region');
INSERT INTO cards.delivery_point
SELECT 'MFC-' || n, 99, 'МФЦ', 'ул. Мира, 3', '8 800', 'пн–пт', 5, 100000
FROM generate_series(1, 40) AS n;
INSERT INTO cards.station (station_id, token_sha256)
SELECT 'office-' || n, sha256(n::text::bytea) FROM generate_series(1, 4) AS n;
CREATE TEMPORARY TABLE made AS
SELECT
    n, md5('order' || n)::uuid AS order_id, md5('card' || n)::uuid AS card_id,
    md5('citizen' || n)::uuid AS citizen_id, 'MFC-' || n % 40 + 1 AS point_id,
    date '2026-09-21' - ((($1 - n) / 2000)::integer) AS planned_on, n / 500 AS part,
    CASE WHEN n % 1000 < 990 THEN 2 WHEN n % 1000 < 995 THEN 1 ELSE 0 END AS state
FROM generate_series(0, $1 - 1) AS n;
INSERT INTO cards.batch (batch_id, point_id, planned_on, station_id)
SELECT md5('batch' || m.part)::uuid, min(m.point_id), min(m.planned_on), 'office-1'
FROM made AS m GROUP BY m.part ORDER BY m.part;
INSERT INTO cards.card_order (
    order_id, citizen_id, register_version, station_id, card_id, card_number, issuer_region,
    valid_to, challenge, state, ordered_at, issued_at, issued_on, point_id, batch_id, planned_on,
    expected_on
)
SELECT
    order_id, citizen_id, 1, 'office-1', card_id, '964390' || lpad(n::text, 13, '0'), 99,
    planned_on + 1825, sha256(n::text::bytea), state, planned_on,
    CASE WHEN state = 2 THEN planned_on END, CASE WHEN state = 2 THEN planned_on END,
    point_id, md5('batch' || part)::uuid, planned_on, planned_on + 5
FROM made WHERE state > 0;
INSERT INTO cards.card (
    card_id, card_number, holder_id, issuer_region, state, valid_to, public_key_tap,
    public_key_pin, certificate_tap, certificate_pin, issued_at
)
SELECT
    card_id, '964390' || lpad(n::text, 13, '0'), citizen_id, 99, 1, planned_on + 1825,
    decode(repeat('04', 65), 'hex'), decode(repeat('04', 65), 'hex'), '\\x30', '\\x30', planned_on
FROM made WHERE state = 2;
INSERT INTO cards.transition (card_id, number, from_stage, to_stage, made_by, reason)
SELECT m.card_id, s.n, s.n, s.n + 1, 'bench', 'bench'
FROM made AS m CROSS JOIN generate_series(1, 6) AS s (n) WHERE m.state = 2;
INSERT INTO cards.application (
    application_id, kind, citizen_id, point_id, state, applied_at, applied_by, reason, decided_at,
    decided_by, order_id
)
SELECT
    md5('application' || n)::uuid, 1, citizen_id, point_id,
    CASE state WHEN 2 THEN 3 WHEN 1 THEN 2 ELSE 1 END, planned_on, 'Ольга', 'bench',
    CASE WHEN state > 0 THEN planned_on END, CASE WHEN state > 0 THEN 'Иван' END,
    CASE WHEN state > 0 THEN order_id END
FROM made ORDER BY n;
"""

PEOPLE: Final = """
INSERT INTO register.citizen (
    citizen_id, snils, last_name, first_name, birth_date, sex, region
)
SELECT md5('new' || n)::uuid, lpad((20000000000 + n)::text, 11, '0'), 'Тестова', 'Проба',
    '1970-01-01', 'f', 99
FROM generate_series(0, $1 - 1) AS n
"""

app = cyclopts.App(help=__doc__)


@app.default
def measure(
    *,
    orders: Annotated[int, Parameter(help="How many orders there are.")] = ORDERS_DEFAULT,
    asked: Annotated[int, Parameter(help="How often each question is asked.")] = ASKED_DEFAULT,
) -> None:
    """Fill a database of its own and ask the office's questions."""
    home = Path(tempfile.mkdtemp(prefix="spk-bench-"))
    home.chmod(0o711)
    server = EmbeddedPostgres(home)
    try:
        server.start()
        asyncio.run(_measure(server, orders, asked))
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


async def _measure(server: EmbeddedPostgres, orders: int, asked: int) -> None:
    console = Console(width=110)
    await migrate(server.superuser_dsn("postgres"), read_sql_folder(sql_root()))
    owner = await asyncpg.connect(server.superuser_dsn("postgres"))
    began = time.monotonic()
    await owner.execute(FILL.replace("$1", str(orders)))
    people = APPLIED_AT_ONCE * max(2, asked // 20)
    async with owner.transaction():
        await owner.execute("SELECT register.begin_change('bench', 'bench', 'bench')")
        await owner.execute(PEOPLE.replace("$1", str(people)))
    await owner.execute("VACUUM (ANALYZE)")
    console.print(f"{orders:,} orders written in {time.monotonic() - began:.0f} s")
    dsn = server.dsn(Role.ISSUING, "postgres")
    # One connection, which is asked to tell its counts after each question.
    limits = msgspec.structs.replace(REPORTING_LIMITS, connections_max=1)
    pool = await open_pool(dsn, Role.ISSUING, "bench", limits)
    table = Table("question", "p50 ms", "p99 ms", "rows read", title="The issuing office")
    for name, times, ask in questions(pool, orders, asked, people):
        before = await _rows_read(pool)
        spent = sorted([await _time(ask, turn) for turn in range(times)])
        read = (await _rows_read(pool) - before) // times
        p99 = spent[min(len(spent) - 1, len(spent) * 99 // 100)]
        table.add_row(name, f"{spent[len(spent) // 2]:.1f}", f"{p99:.1f}", f"{read:,}")
    console.print(table)
    await pool.close()
    await owner.close()


Ask = Callable[[int], Awaitable[object]]


def questions(
    pool: DatabasePool, orders: int, asked: int, people: int
) -> list[tuple[str, int, Ask]]:
    """Give the questions: what each is called, how often it is asked, and how, by its turn."""
    clock = ManualClock("Asia/Yekaterinburg", NOON_MS)
    applications, batches = ApplicationStore(pool, clock), BatchStore(pool)
    cards = CardStore(pool)
    today = clock.local_date()
    step = max(1, orders // asked)
    desk = Desk(kind=ApplicationKind.FIRST, point_id=POINT, by="Ольга", reason="bench")
    waiting: list[Open] = []

    async def apply(turn: int) -> None:
        first = turn * APPLIED_AT_ONCE
        numbers = range(first, first + APPLIED_AT_ONCE)
        wishes = [Wish(snils=f"{20_000_000_000 + n:011d}") for n in numbers]
        taken = await applications.apply(wishes, desk)
        waiting.extend(await applications.numbered([one.number for one in taken if one.number]))

    async def approve(turn: int) -> None:
        first = turn * APPLIED_AT_ONCE
        await applications.approve(waiting[first : first + APPLIED_AT_ONCE], "Иван", None)

    some = people // APPLIED_AT_ONCE
    return [
        ("the newest 50", asked, lambda _: applications.listed(None, None, None, 50)),
        ("50 further back", asked, lambda n: applications.listed(None, None, n * step + 99, 50)),
        (
            "50 of a point",
            asked,
            lambda n: applications.listed(None, f"MFC-{n % 40 + 1}", None, 50),
        ),
        ("500 that wait", asked, lambda n: applications.waiting(n * step, None)),
        ("by number", asked, lambda n: applications.find(number=n * step + 1)),
        ("by card number", asked, lambda n: applications.find(card_number=_number(n * step))),
        ("by GUID", asked, lambda _: applications.find(key=UUID(int=1))),
        ("50 batches", asked, lambda _: batches.listed(2**31 - 1, BATCHES_SHOWN_MAX)),
        ("a station's batches", asked, lambda _: batches.of_station("office-2")),
        ("renewals due, 500", asked, lambda _: applications.renewals_due(_later(today), None)),
        ("nothing to expire", asked, lambda _: cards.expire(date(2020, 1, 1))),
        ("500 applications", some, apply),
        ("500 approvals", some, approve),
        ("batches made", 1, lambda _: batches.make(today, "Иван")),
        ("next batch", asked, lambda _: batches.take("office-3", None, today, "bench")),
    ]


def _number(n: int) -> str:
    return f"964390{n:013d}"


def _later(day: date) -> date:
    return day.replace(year=day.year + 6)


async def _time(ask: Ask, turn: int) -> float:
    began = time.perf_counter()
    await ask(turn)
    return (time.perf_counter() - began) * 1000


async def _rows_read(pool: DatabasePool) -> int:
    """Return how many rows of the large tables were read so far."""
    async with pool.connection() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        return int(
            await connection.fetchval(
                "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables"
                " WHERE schemaname = 'cards' AND relname = ANY($1)",
                list(LARGE),
            )
        )


if __name__ == "__main__":
    app()
