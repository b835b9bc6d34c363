"""What a registrar has: files of people, and a register to take them into."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import asyncpg
import xlsxwriter

from processing.kernel.database import DatabasePool
from processing.register.identifiers import make_snils
from processing.register.importing.preparing import Prepared, kind_named, prepare
from processing.register.importing.running import Runner
from processing.register.importing.store import Import, ImportStore

TODAY = date(2026, 11, 20)
CLERK = "Орлова"
CHIEF = "Ильин"
CITIZEN_COLUMNS = ("СНИЛС", "Фамилия", "Имя", "Отчество", "Дата рождения", "Пол")


def person(number: int, **other: str) -> dict[str, str]:
    """Return a citizen's row; people of different numbers are nobody's likely duplicates."""
    letters = "".join(chr(ord("а") + int(digit)) for digit in f"{number:05d}")
    row = {
        "СНИЛС": make_snils(2_000_000 + number),
        "Фамилия": f"Ф{letters}ов",
        "Имя": f"И{letters[::-1]}",
        "Отчество": "Петрович",
        "Дата рождения": f"{number % 28 + 1:02}.{number // 28 % 12 + 1:02}.1980",
        "Пол": "м",
    }
    return row | other


def csv_file(
    path: Path, rows: Sequence[Mapping[str, str]], *, delimiter: str = ";", encoding: str = "utf-8"
) -> Path:
    """Write rows as a CSV file, the keys of the first as its header."""
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(written.getvalue().encode(encoding))
    return path


def xlsx_file(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """Write rows of cells as a workbook; dates get a date's format."""
    book = xlsxwriter.Workbook(str(path))
    day = book.add_format({"num_format": "dd.mm.yyyy"})
    sheet = book.add_worksheet("Список")
    for number, row in enumerate(rows):
        for place, cell in enumerate(row):
            if isinstance(cell, date):
                sheet.write_datetime(number, place, cell, day)
            elif cell is not None:
                sheet.write(number, place, cell)
    book.close()
    return path


class Office:
    """Imports files for one registrar."""

    def __init__(self, pool: DatabasePool, admin: asyncpg.Connection) -> None:
        self.pool = pool
        self.admin = admin
        self.runner = Runner(pool, TODAY)

    def prepared(self, path: Path, kind: str = "citizen", **chosen: str) -> Prepared:
        """Return a file with its columns mapped."""
        return prepare(path, kind_named(kind), {}, chosen)

    async def begin(
        self, ready: Prepared, source: str = "МФЦ Заречный", by: str = CLERK
    ) -> tuple[int, str, bool]:
        """Begin an import."""
        async with self.pool.transaction() as connection:
            return await ImportStore(connection).begin(
                kind=ready.kind.kind,
                source=source,
                file_name=ready.sheet.path.name,
                form=ready.sheet.form,
                header=ready.header,
                opening=ready.opening,
                by=by,
            )

    async def take(self, path: Path, kind: str = "citizen", source: str = "МФЦ Заречный") -> Import:
        """Import a whole file."""
        ready = self.prepared(path, kind)
        import_id, _, _ = await self.begin(ready, source)
        return await self.runner.read(import_id, ready.sheet, lambda count: None)

    async def faults(self, import_id: int) -> dict[int, str]:
        """Return the reasons of the rows not taken, by line."""
        async with self.pool.connection() as connection:
            return {
                reject.line: "; ".join(fault.ru for fault in reject.faults)
                async for reject in ImportStore(connection).rejects(import_id)
            }

    async def citizens(self) -> list[tuple[object, ...]]:
        """Return what the register says of people, without keys and versions."""
        rows = await self.admin.fetch(
            "SELECT snils, last_name, first_name, patronymic, birth_date, sex, enp, inn, region"
            " FROM register.citizen ORDER BY snils"
        )
        return [tuple(row) for row in rows]
