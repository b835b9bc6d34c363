"""How fast a month of facts becomes files for ЕГИССО, and in how much memory.

python -m bench.egisso --facts 1000000

Makes an empty centre with its own embedded PostgreSQL, fills it with citizens, rights and a month
of sales by set-based statements (the same columns as the engine writes), and exports the month in
a process of its own, through the code of `spk exchange egisso export`. Prints the seconds of each
step, the exporting process's CPU time and peak of memory, and the size of the files. With the
schemas of ЕГИССО at hand (--schemas FOLDER) every file is validated, outside of the measurement.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Final

import asyncpg
import cyclopts
import msgspec
from lxml import etree
from rich.console import Console
from rich.table import Table

from processing.exchange.egisso.store import EXPORT_LIMITS, EgissoStore
from processing.kernel.database import open_pool
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.migrate import migrate
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root
from processing.kernel.target_pools import alone

DATABASE: Final = "spk_bench_egisso"
MONTH: Final = dt.date(2026, 10, 1)
MONTH_END: Final = dt.date(2026, 10, 31)

FILL: Final = (
    """
    INSERT INTO regulations.region VALUES (99, 'Europe/Moscow', 'Область', 'Region');
    INSERT INTO regulations.measure VALUES ('MED', 'Лекарства', 'Medicines', 'federal');
    INSERT INTO regulations.item VALUES ('PILLS', 'PILLS', 778, 0, NULL, 'Таблетки', 'Pills');
    INSERT INTO register.benefit_category VALUES ('VETERAN', 'Ветеран', 'Veteran');
    INSERT INTO exchange.catalogue (
        package_id, body, body_sha256, proposed_by, proposed_at, approved_by, approved_at
    ) VALUES (gen_random_uuid(), '', sha256(''), 'a', now(), 'b', now());
    INSERT INTO exchange.lmsz VALUES (
        gen_random_uuid(), 'Лекарства', '02', '2026-01-01', NULL, '{}', 1, NULL
    );
    INSERT INTO exchange.lmsz_category
    SELECT lmsz_id, gen_random_uuid(), 'Ветераны' FROM exchange.lmsz;
    INSERT INTO exchange.egisso_measure
    SELECT 'MED', lmsz_id, '0123.000456', 'provided', NULL, FALSE, 'a' FROM exchange.lmsz;
    INSERT INTO exchange.egisso_category
    SELECT 'MED', 'VETERAN', category_id FROM exchange.lmsz_category;
    SELECT register.begin_change('bench', 'bench', 'edit');
    INSERT INTO register.citizen (
        citizen_id, snils, last_name, first_name, patronymic, birth_date, sex, region
    )
    SELECT
        gen_random_uuid(), lpad(n::text, 11, '0'), 'Иванова', 'Анна', 'Петровна',
        '1940-01-01'::date + n % 20000, 'f', 99
    FROM generate_series(1, $facts) AS n;
    INSERT INTO rights.entitlement
    SELECT
        rights.bucket_of(c.citizen_id), c.citizen_id, gen_random_uuid(), 'MED', 'VETERAN',
        '2026-01-01', '2026-12-31', '17-с', '2026-01-15'
    FROM register.citizen AS c
    """,
    """
    INSERT INTO journal.event (
        bucket, business_date, terminal_id, stan, message_class, lane, block, ordinal, kind,
        advice, evidence, card_id, holder_id, service, service_version, signed_at, local_date,
        posting_date, decided_at, request_digest, request, signature, outcome, approval_code
    )
    SELECT
        e.bucket, '2026-10-01'::date + (e.n % 31)::integer,
        'AP' || lpad((e.n / 900000)::text, 6, '0'), e.n % 900000, 2, 1, e.n, 1, 3, FALSE, 1,
        e.entitlement_id, e.holder_id, 'MED', 1, now(), '2026-10-01', '2026-10-01', now(), '', '',
        '', 1, ''
    FROM (SELECT x.*, row_number() OVER () AS n FROM rights.entitlement AS x) AS e;
    INSERT INTO journal.line (
        bucket, business_date, terminal_id, stan, message_class, line_no, part, item, quantity,
        gross_kopecks, covered_kopecks, paid_kopecks, debited, entitlement_id, measure, category
    )
    SELECT
        e.bucket, e.business_date, e.terminal_id, e.stan, 2, 1, 1, 'PILLS', 1 + e.stan % 3,
        14550, 14550, 0, 0, e.card_id, 'MED', 'VETERAN'
    FROM journal.event AS e
    """,
    "SELECT journal.ensure_partitions('2026-10-01', '2026-10-31')",
)  # fmt: skip
"""The town; card_id carries the entitlement from the event to its line."""

app = cyclopts.App(help="Measure the export of facts for ЕГИССО.")


class Measured(msgspec.Struct, frozen=True):
    """What the exporting process says of itself: seconds, bytes."""

    draw_seconds: float
    files_seconds: float
    cpu_seconds: float
    peak_bytes: int
    files: int
    bytes: int
    records: int


@app.default
def bench(
    *,
    facts: int = 100_000,
    schemas: Annotated[
        Path | None, cyclopts.Parameter(help="Folder with 10.06.S-1.1.0.xsd.")
    ] = None,
) -> None:
    """Fill a centre, export its month, print what it took."""
    # Not under a home: the server runs as an account of its own.
    home = Path(tempfile.mkdtemp(prefix="spk-bench-egisso-"))
    home.chmod(0o711)
    embedded = EmbeddedPostgres(home)
    try:
        embedded.start()
        asyncio.run(_fill(embedded, facts))
        dsn = embedded.dsn(Role.EXCHANGE, DATABASE)
        out = home / "files"
        out.mkdir()
        program = [sys.executable, "-m", "bench.egisso", "export", str(out)]
        environ = {**os.environ, "SPK_BENCH_DSN": dsn}
        for title in (f"{facts:,} facts", "the same month again"):
            done = subprocess.run(program, check=True, capture_output=True, env=environ)
            _show(title, msgspec.json.decode(done.stdout, type=Measured))
        if schemas is not None:
            _validate(out, schemas)
    finally:
        embedded.stop()
        shutil.rmtree(home, ignore_errors=True)


@app.command(show=False)
def export(out: Path) -> None:
    """Export the month; run in a process of its own."""
    dsn = os.environ["SPK_BENCH_DSN"]
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(_export(dsn, out))))


async def _export(dsn: str, out: Path) -> Measured:
    pool = await open_pool(dsn, Role.EXCHANGE, "bench", EXPORT_LIMITS)
    store = EgissoStore(alone(pool))
    started = time.perf_counter()
    number = await store.draw(MONTH, MONTH_END, "bench", int(time.time() * 1000))
    drawn = time.perf_counter()
    files = size = 0
    async for place, content in store.packages(number):
        (out / f"{number}_{place:04}.xml").write_bytes(content)
        files += 1
        size += len(content)
    written = time.perf_counter()
    export = await store.export(number)
    await pool.close()
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return Measured(
        draw_seconds=drawn - started,
        files_seconds=written - drawn,
        cpu_seconds=spent.ru_utime + spent.ru_stime,
        peak_bytes=spent.ru_maxrss * 1024,
        files=files,
        bytes=size,
        records=0 if export is None else export["record_count"],
    )


async def _fill(embedded: EmbeddedPostgres, facts: int) -> None:
    administrator = await asyncpg.connect(embedded.superuser_dsn("postgres"))
    await administrator.execute(f"CREATE DATABASE {DATABASE}")
    await administrator.close()
    dsn = embedded.superuser_dsn(DATABASE)
    await migrate(dsn, read_sql_folder(sql_root()))
    connection = await asyncpg.connect(dsn, command_timeout=None)
    await fill(connection, facts)
    await connection.close()


async def fill(connection: asyncpg.Connection, facts: int) -> None:
    """Write a town in which so many people were given something in the month."""
    # Making the town is no part of what is measured.
    await connection.execute("SET synchronous_commit = off")
    for statements in (FILL[2], FILL[0].replace("$facts", str(facts)), FILL[1]):
        async with connection.transaction():
            await connection.execute(statements)
    await connection.execute("ANALYZE")


def _show(title: str, measured: Measured) -> None:
    table = Table("what", "figure", title=title)
    for name, figure in (
        ("records told", f"{measured.records:,}"),
        ("gathered, compared, numbered", f"{measured.draw_seconds:.1f} s"),
        ("read, rendered, kept, written", f"{measured.files_seconds:.1f} s"),
        ("CPU of the exporting process", f"{measured.cpu_seconds:.1f} s"),
        ("its peak of memory", f"{measured.peak_bytes / 1e6:.0f} MB"),
        ("files", f"{measured.files:,}, {measured.bytes / 1e6:,.0f} MB"),
    ):
        table.add_row(name, figure)
    Console().print(table)


def _validate(out: Path, schemas: Path) -> None:
    schema: Any = etree.XMLSchema(file=str(schemas / "10.06.S-1.1.0.xsd"))
    files = sorted(out.glob("*.xml"))
    for path in files:
        schema.assertValid(etree.parse(path))
    Console().print(f"{len(files):,} files are valid")


if __name__ == "__main__":
    app()
