"""`spk regulation replay` as an official uses it: the sums, the list, the file."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.plugins.postgres import Database
from tests.regulations.test_replay import draft_text, sold

SPK = "from processing.cli import main; main()"


def spk(database: Database, home: Path, *words: str) -> str:
    """Return what the command printed; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", SPK, "regulation", "replay", *words],
        env={"SPK_DSN": database.superuser_dsn, "SPK_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(240)
async def test_an_official_sees_who_gains_and_who_loses(database: Database, tmp_path: Path) -> None:
    await sold(database)
    async with database.connect() as connection:
        await connection.execute(
            "INSERT INTO regulations.category_measure VALUES ('VETERAN', 'HALF')"
        )
    document = tmp_path / "draft.toml"
    document.write_text(draft_text(80), "utf-8")
    period = ("--from", "2026-03-02", "--to", "2026-03-02")
    table = tmp_path / "changes.csv"
    told = spk(database, tmp_path, str(document), *period, "--export", str(table))
    assert "Операций 8, решены иначе 7." in told
    assert "Выиграют 1 (на 3,30\u00a0₽), проиграют 1 (на 9,00\u00a0₽)." in told
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert {row["номер"] for row in rows} == set("1234567")
    # The record answers: who loses, and why.
    told = spk(
        database, tmp_path, str(document), *period, "--list", "losers", "--category", "CHILD"
    )
    assert "T0000001 000004 отпуск  CHILD  APTEKA-7" in told
    assert "703 Одобрено, 9,00\u00a0₽ → 601" in told
    assert "решены иначе" not in told
    sheet = tmp_path / "changes.xlsx"
    spk(database, tmp_path, str(document), *period, "--export", str(sheet), "--lang", "en")
    found = CalamineWorkbook.from_path(sheet).get_sheet_by_index(0).to_python()
    assert len(found) == 1 + len(rows)
    assert found[0][0] == "holder"
