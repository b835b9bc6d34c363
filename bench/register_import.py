"""How fast files are taken into the register, and in how much memory.

python -m bench.register_import --citizens 1000000 [--xlsx] [--again]

Makes an empty centre with its own embedded PostgreSQL, writes a file of invented citizens, and
imports it in a process of its own, as `spk register import` does. Prints the minutes, the importing
process's own peak of memory and CPU time, and the server's apart from them.
"""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

import asyncpg
import cyclopts
import xlsxwriter
from rich.console import Console
from rich.table import Table

from bench import usage
from bench.memory import MemorySampler
from processing.kernel.database import open_pool
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.migrate import migrate
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root
from processing.register.identifiers import make_enp, make_person_inn, make_snils
from processing.register.importing.preparing import kind_named, prepare
from processing.register.importing.running import IMPORT_LIMITS, Runner
from processing.register.importing.store import ImportStore

DATABASE: Final = "spk_bench_import"
HEADER: Final = (
    "СНИЛС",
    "Фамилия",
    "Имя",
    "Отчество",
    "Дата рождения",
    "Пол",
    "ЕНП",
    "ИНН",
    "Регион",
)
REGION: Final = 99
FIRST_BIRTH: Final = dt.date(1935, 1, 1)
BIRTH_DAYS: Final = 32_000
SHEET_ROWS_MAX: Final = 1_048_575

app = cyclopts.App(help="Measure the import of citizens.")


@app.default
def bench(
    *,
    citizens: int = 100_000,
    xlsx: Annotated[bool, cyclopts.Parameter(help="A workbook instead of CSV.")] = False,
    shared_texts: Annotated[
        bool,
        cyclopts.Parameter(help="Its texts apart from its rows, as Excel does; takes memory here."),
    ] = False,
    again: Annotated[bool, cyclopts.Parameter(help="Import the same file once more.")] = False,
    changed: Annotated[
        int, cyclopts.Parameter(help="Then a file in which so many of a hundred differ.")
    ] = 0,
) -> None:
    """Print minutes, memory and CPU time of an import."""
    home = Path(tempfile.mkdtemp(prefix="spk-bench-"))
    home.chmod(0o711)
    embedded = EmbeddedPostgres(home)
    try:
        embedded.start()
        asyncio.run(_make_database(embedded))
        dsn = embedded.dsn(Role.REGISTER, DATABASE)
        path = home / ("citizens.xlsx" if xlsx else "citizens.csv")
        _write(path, citizens, 0, shared_texts=shared_texts)
        told = [("first import", path, _measured(embedded, dsn, path))]
        if again:
            told.append(("the same again", path, _measured(embedded, dsn, path)))
        if changed:
            second = path.with_stem("changed")
            _write(second, citizens, changed, shared_texts=shared_texts)
            told.append((f"{changed} % changed", second, _measured(embedded, dsn, second)))
        Console().print(_table(told, citizens))
    finally:
        embedded.stop()
        shutil.rmtree(home, ignore_errors=True)


@app.command(show=False)
def child(dsn: str, path: Path) -> None:
    """Import a file and print what it took, as JSON."""
    began = time.monotonic()
    survey_seconds, sums = asyncio.run(_import(dsn, path))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": time.monotonic() - began,
                "survey_seconds": survey_seconds,
                "cpu_seconds": used.ru_utime + used.ru_stime,
                "peak_bytes": used.ru_maxrss * 1024,
                "sums": sums,
            }
        )
    )


async def _import(dsn: str, path: Path) -> tuple[float, dict[str, int]]:
    began = time.monotonic()
    ready = prepare(path, kind_named("citizen"), {}, {})
    survey_seconds = time.monotonic() - began
    pool = await open_pool(dsn, Role.REGISTER, "bench import", IMPORT_LIMITS)
    try:
        async with pool.transaction() as connection:
            import_id, _, _ = await ImportStore(connection).begin(
                kind="citizen",
                source="bench",
                file_name=path.name,
                form=ready.sheet.form,
                header=ready.header,
                opening=ready.opening,
                by="bench",
            )
        runner = Runner(pool, dt.date(2026, 11, 20))
        done = await runner.read(import_id, ready.sheet, lambda count: None)
        assert done.sums.balances
        sums = {name: getattr(done.sums, name) for name in done.sums.__struct_fields__}
        return survey_seconds, sums
    finally:
        await pool.close()


async def _make_database(embedded: EmbeddedPostgres) -> None:
    admin = await asyncpg.connect(embedded.superuser_dsn("postgres"))
    await admin.execute(f"CREATE DATABASE {DATABASE}")
    await admin.close()
    dsn = embedded.superuser_dsn(DATABASE)
    await migrate(dsn, read_sql_folder(sql_root()))
    admin = await asyncpg.connect(dsn)
    await admin.execute(
        f"INSERT INTO regulations.region VALUES ({REGION}, 'Europe/Moscow', 'Область', 'Region')"  # noqa: S608
    )
    await admin.close()


def _measured(embedded: EmbeddedPostgres, dsn: str, path: Path) -> dict[str, Any]:
    server = embedded.status().process_id
    assert server is not None
    before = _cpu_seconds(server)
    sampler = MemorySampler(server)
    told = subprocess.run(
        [sys.executable, "-m", "bench.register_import", "child", dsn, str(path)],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ,
    ).stdout
    found: dict[str, Any] = json.loads(told)
    found["server_peak_bytes"] = max(sampler.stop())
    found["server_cpu_seconds"] = _cpu_seconds(server) - before
    return found


def _cpu_seconds(server: int) -> float:
    """Return what a server's processes took, those that have ended and those that still run."""
    ended = Path(f"/proc/{server}/stat").read_text("ascii").rpartition(")")[2].split()[13:15]
    running = sum(usage.cpu_by_title(server).values()) / 1e9
    return sum(map(int, ended)) / os.sysconf("SC_CLK_TCK") + running


def _table(told: list[tuple[str, Path, dict[str, Any]]], citizens: int) -> Table:
    table = Table("what", title=f"Import of {citizens:,} citizens")
    for name, _, _ in told:
        table.add_column(name, justify="right")

    def row(label: str, value: Any) -> None:
        table.add_row(label, *(value(found, path) for _, path, found in told))

    row("file, MB", lambda _, path: f"{path.stat().st_size / 1e6:.0f}")
    row("seconds in all", lambda found, _: f"{found['seconds']:.1f}")
    row("of these looking at the file first", lambda found, _: f"{found['survey_seconds']:.1f}")
    row("rows a second", lambda found, _: f"{citizens / found['seconds']:,.0f}")
    row("importing process: CPU seconds", lambda found, _: f"{found['cpu_seconds']:.1f}")
    row("importing process: peak, MB", lambda found, _: f"{found['peak_bytes'] / 1e6:.0f}")
    row("PostgreSQL: CPU seconds", lambda found, _: f"{found['server_cpu_seconds']:.1f}")
    row(
        "PostgreSQL: largest process with shared memory, MB",
        lambda found, _: f"{found['server_peak_bytes'] / 1e6:.0f}",
    )
    for name in ("rows", "created", "changed", "unchanged", "rejected", "waiting"):
        row(name, lambda found, _, name=name: f"{found['sums'][name]:,}")
    return table


def _write(path: Path, count: int, changed_percent: int, *, shared_texts: bool) -> None:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
            writer.writerow(HEADER)
            for row in _people(count, changed_percent):
                writer.writerow([_shown(cell) for cell in row])
        return
    book = xlsxwriter.Workbook(str(path), {"constant_memory": not shared_texts})
    day = book.add_format({"num_format": "dd.mm.yyyy"})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, HEADER)
    for number, row in enumerate(_people(min(count, SHEET_ROWS_MAX), changed_percent), start=1):
        for place, cell in enumerate(row):
            if isinstance(cell, dt.date):
                sheet.write_datetime(number, place, cell, day)
            elif isinstance(cell, int):
                sheet.write_number(number, place, cell)
            else:
                sheet.write_string(number, place, cell)
    book.close()


def _shown(cell: object) -> object:
    return cell.strftime("%d.%m.%Y") if isinstance(cell, dt.date) else cell


def _people(count: int, changed_percent: int) -> Iterator[tuple[object, ...]]:
    """Give citizens with the names of the synthetic region, far fewer names than a real one has."""
    chance = random.Random(7)
    names = tomllib.loads(files("processing.region").joinpath("names.toml").read_text("utf-8"))
    people = names["people"][0]
    surnames, men, women = people["surnames"], people["male"], people["female"]
    surname_weights = [each[1] for each in surnames]
    man_weights = [sum(each[3:]) for each in men]
    woman_weights = [sum(each[1:]) for each in women]
    for number in range(count):
        is_man = chance.random() < 0.46
        (surname,) = chance.choices(surnames, surname_weights)
        (father,) = chance.choices(men, man_weights)
        first = chance.choices(men, man_weights)[0] if is_man else None
        first_name = first[0] if first else chance.choices(women, woman_weights)[0][0]
        born = FIRST_BIRTH + dt.timedelta(days=chance.randrange(BIRTH_DAYS))
        has_inn = chance.random() < 0.6
        last_name = surname[0]
        if not is_man and last_name.endswith(("в", "н")):
            last_name += "а"
        if chance.randrange(100) < changed_percent:
            last_name += "-Новая"
        yield (
            _punctuated(make_snils(2_000_000 + number)),
            last_name,
            first_name,
            father[1 if is_man else 2],
            born,
            "мужской" if is_man else "женский",
            make_enp(REGION, born, "m" if is_man else "f", number % 100_000),
            make_person_inn(6600 + number // 1_000_000, number % 1_000_000) if has_inn else "",
            REGION,
        )


def _punctuated(snils: str) -> str:
    return f"{snils[:3]}-{snils[3:6]}-{snils[6:9]} {snils[9:]}"


if __name__ == "__main__":
    app()
