"""`python -m bench.eligibility`: who may have a measure, asked of one person and of a million.

A PostgreSQL of its own gets the directory, the rules and the amounts of a region, then invented
households with incomes, addresses, categories, life events and entitlements. One person is asked
about as `spk eligibility why` does it; everybody as `spk eligibility candidates` does.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import asyncpg
import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from processing.eligibility.applications import Applications
from processing.eligibility.bulk import count_answers, explain_plan, gathered
from processing.eligibility.evaluating import evaluate
from processing.eligibility.store import EligibilityStore, PublishedRule, Settings
from processing.kernel.database import REPORTING_LIMITS, open_pool
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.migrate import migrate
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root
from processing.kernel.target_pools import alone
from processing.region.generate import RegionOrder, generate, load_sources
from processing.region.store import load_region

CITIZENS_DEFAULT: Final = 1_000_000
REGION_CITIZENS: Final = 1_000
CHUNK: Final = 100_000
PEOPLE_ASKED: Final = 500
TODAY: Final = date(2026, 11, 22)
BY: Final = "bench"

# Four to a household: two adults, of whom every fourth couple is retired, and two children.
FILL: Final = """
CREATE TEMPORARY TABLE people ON COMMIT DROP AS
SELECT
    n, n % 4 AS place, (n / 4) % 4 = 3 AS retired,
    ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id,
    ('00000000-0000-7000-9000-' || lpad(to_hex(n / 4), 12, '0'))::uuid AS household_id,
    CASE
        WHEN (n / 4) % 4 = 3 AND n % 4 < 2 THEN date '1946-01-01' + (n * 31 % 6000)
        WHEN n % 4 < 2 THEN date '1970-01-01' + (n * 31 % 9000)
        ELSE date '2008-11-01' + (n * 37 % 6500)
    END AS birth_date
FROM generate_series($1::integer, $2::integer) AS n;

INSERT INTO register.citizen (
    citizen_id, snils, last_name, first_name, birth_date, sex, region
)
SELECT id, lpad((90000000000 + n)::text, 11, '0'), 'Иванов', 'Иван', birth_date,
    CASE n % 2 WHEN 0 THEN 'f' ELSE 'm' END, 99
FROM people;

INSERT INTO register.household (household_id, number, region, address)
SELECT household_id, 'B-' || n / 4, 99, 'г. Заречный' FROM people WHERE place = 0;

INSERT INTO register.household_member (record_id, household_id, citizen_id, relation)
SELECT id, household_id, id, (ARRAY['head', 'spouse', 'child', 'child'])[place + 1] FROM people;

INSERT INTO register.address (record_id, citizen_id, address_kind, line)
SELECT id, id, 'registered', 'г. Заречный' FROM people WHERE n % 20 > 0;

INSERT INTO register.income (record_id, citizen_id, income_kind, month, amount_kopecks)
SELECT gen_random_uuid(), id, CASE WHEN retired THEN 'pension' ELSE 'salary' END, month::date,
    1500000 + n * 101 % 6000000
FROM people CROSS JOIN generate_series('2026-08-01'::date, '2026-10-01', '1 month') AS month
WHERE place < 2 AND (n / 4) % 5 > 0;

INSERT INTO register.citizen_category (
    record_id, citizen_id, category, valid_from, valid_to, evidence
)
SELECT gen_random_uuid(), id,
    (ARRAY['DISABLED.1', 'DISABLED.2', 'DISABLED.3', 'VETERAN.LABOUR', 'FAMILY.LARGE'])[1 + n % 5],
    '2026-01-01', '2027-12-31', 'справка'
FROM people WHERE n * 7 % 10 < 3;

INSERT INTO register.life_event (record_id, citizen_id, event, happened_on)
SELECT gen_random_uuid(), id, 'child_born', '2026-10-01'::date + n % 40
FROM people WHERE place = 0 AND n % 100 < 20;

INSERT INTO register.consent (record_id, citizen_id, scope, given_on)
SELECT gen_random_uuid(), id, 'proactive', '2026-02-01' FROM people WHERE place < 2;

INSERT INTO register.circumstance (record_id, citizen_id, circumstance, valid_from)
SELECT gen_random_uuid(), id, CASE WHEN retired THEN 'pensioner' ELSE 'employed' END, '2025-01-01'
FROM people WHERE place = 1;

INSERT INTO register.policy (record_id, citizen_id, enp, insurer, valid_from, prolongs)
SELECT gen_random_uuid(), id, lpad((9000000000000000 + n)::text, 16, '0'), 'Страховая',
    '2025-01-01', TRUE
FROM people;

INSERT INTO register.service_plan (
    record_id, number, citizen_id, form, issued_on, valid_from, valid_to, measure, category
)
SELECT gen_random_uuid(), 'B-' || n, id, 'home', '2026-01-01', '2026-01-01', '2027-12-31',
    'CARE.HOME', 'DISABLED.1'
FROM people WHERE retired AND place = 1;

INSERT INTO register.entitlement (
    record_id, citizen_id, measure, category, decision_number, decided_on, valid_from, valid_to
)
SELECT gen_random_uuid(), id, 'TRANSPORT', 'PENSIONER', 'B', '2026-01-01', '2026-01-01',
    '2027-01-01'
FROM people WHERE retired AND place = 0;
"""

app = cyclopts.App(name="eligibility", help="Measure who may have a measure.")


@app.default
def bench(
    *,
    citizens: Annotated[int, Parameter(help="How many people.")] = CITIZENS_DEFAULT,
    explain: Annotated[bool, Parameter(help="Print the plans too.")] = False,
) -> None:
    """Print milliseconds for one person, and minutes for all rules over everybody."""
    home = Path(tempfile.mkdtemp(prefix="spk-bench-"))
    home.chmod(0o711)
    server = EmbeddedPostgres(home)
    try:
        server.start()
        asyncio.run(_measure(server, citizens, explain=explain))
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


async def _measure(server: EmbeddedPostgres, citizens: int, *, explain: bool) -> None:
    console = Console(width=110)
    await migrate(server.superuser_dsn("postgres"), read_sql_folder(sql_root()))
    order = RegionOrder(citizens=REGION_CITIZENS, seed=1, today=TODAY)
    pool = await open_pool(
        server.dsn(Role.OWNER, "postgres"), Role.OWNER, "bench", REPORTING_LIMITS
    )
    await load_region(alone(pool), generate(order, load_sources()), lambda _: None)
    await pool.close()
    owner = await asyncpg.connect(server.superuser_dsn("postgres"))
    took = await _seconds(lambda: _fill(owner, citizens - REGION_CITIZENS))
    console.print(f"{citizens:,} citizens written in {took:.0f} s")
    clerk = await asyncpg.connect(
        server.dsn(Role.REGISTER, "postgres"), server_settings={"role": Role.REGISTER.value}
    )
    await _one_by_one(console, owner, clerk)
    await _everybody(console, clerk, explain=explain)
    if explain:
        await _print_plan(console, owner)
    await clerk.close()
    await owner.close()


async def _fill(owner: asyncpg.Connection, citizens: int) -> None:
    """Write people, a chunk to a transaction, then gather the planner's statistics."""
    for first in range(0, citizens, CHUNK):
        async with owner.transaction():
            await owner.execute("SELECT register.begin_change('bench', 'bench', 'import')")
            last = min(first + CHUNK, citizens) - 1
            for statement in FILL.split(";\n"):
                if "$1" in statement:
                    await owner.execute(statement, first, last)
                elif statement.strip():
                    await owner.execute(statement)
    await owner.execute("ANALYZE")


async def _one_by_one(
    console: Console, owner: asyncpg.Connection, clerk: asyncpg.Connection
) -> None:
    rows = await owner.fetch(
        "SELECT c.citizen_id FROM register.citizen AS c ORDER BY md5(c.snils) LIMIT $1",
        PEOPLE_ASKED,
    )
    store = EligibilityStore(clerk)
    rules, settings = await store.rules_on(TODAY), await store.settings_on(TODAY)
    times: dict[str, list[float]] = {"whole": [], "facts": [], "rules": []}
    for row in rows:
        await _ask_one(clerk, row["citizen_id"], rules, settings, times)
    names = {
        "whole": "one rule, as spk eligibility why asks it",
        "facts": "facts of one person, noted",
        "rules": f"all {len(rules)} rules with their traces",
    }
    table = Table("one person", "p50 ms", "p99 ms", title="Asked one by one")
    for name, took in times.items():
        quantiles = statistics.quantiles(took, n=100)
        table.add_row(names[name], f"{quantiles[49] * 1000:.2f}", f"{quantiles[98] * 1000:.2f}")
    console.print(table)


async def _ask_one(
    clerk: asyncpg.Connection,
    citizen_id: UUID,
    rules: dict[str, PublishedRule],
    settings: Settings,
    times: dict[str, list[float]],
) -> None:
    store = EligibilityStore(clerk)
    began = time.perf_counter()
    await Applications(clerk, TODAY).assess(citizen_id, "SCHOOL.MEAL", BY, "замер")
    times["whole"].append(time.perf_counter() - began)
    began = time.perf_counter()
    people = await store.people([citizen_id], TODAY, BY, "замер")
    times["facts"].append(time.perf_counter() - began)
    person = people[citizen_id]
    began = time.perf_counter()
    for published in rules.values():
        evaluate(published.rule, person.facts, settings.of(person.region))
    times["rules"].append(time.perf_counter() - began)


async def _everybody(console: Console, clerk: asyncpg.Connection, *, explain: bool) -> None:
    store = EligibilityStore(clerk)
    rules, settings = await store.rules_on(TODAY), await store.settings_on(TODAY)
    table = Table("everybody", "seconds", "yes", "no", "not known", title="Asked at once")
    began = time.monotonic()
    async with gathered(clerk, TODAY, BY, "замер") as people:
        table.add_row("facts gathered", f"{time.monotonic() - began:.1f}", f"{people:,} people")
        for measure, published in rules.items():
            started = time.monotonic()
            count = (await count_answers(clerk, published.rule, settings))[""]
            took = time.monotonic() - started
            table.add_row(
                measure, f"{took:.1f}", f"{count.yes:,}", f"{count.no:,}", f"{count.unknown:,}"
            )
        if explain:
            plan = await explain_plan(clerk, rules["SCHOOL.MEAL"].rule, settings)
            console.print(*plan, sep="\n", highlight=False)
    total = time.monotonic() - began
    table.add_section()
    table.add_row("all rules over everybody", f"{total:.1f}")
    table.add_row("minutes per million", f"{total / 60 * 1_000_000 / people:.2f}")
    console.print(table)


async def _print_plan(console: Console, owner: asyncpg.Connection) -> None:
    citizen_id = await owner.fetchval("SELECT c.citizen_id FROM register.citizen AS c LIMIT 1")
    everybody = await owner.fetchval(
        "SELECT array(SELECT c.citizen_id FROM register.citizen AS c LIMIT 20000)"
    )
    for title, chosen in (("one person", [citizen_id]), ("a piece of everybody", everybody)):
        rows = await owner.fetch(
            "EXPLAIN (COSTS OFF) SELECT * FROM eligibility.facts($1, $2)", chosen, TODAY
        )
        rows = [row for row in rows if "citizen_id = ANY" not in row[0]]
        console.print(f"facts of {title}", *(row[0] for row in rows), sep="\n", highlight=False)


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    began = time.monotonic()
    await work()
    return time.monotonic() - began


if __name__ == "__main__":
    app()
