"""`spk export` as finance runs it, on the day of tests/reconciliation/day.py."""

from __future__ import annotations

import asyncio
import csv
import stat
from pathlib import Path

import msgspec
import pytest

from processing.cli import run
from processing.kernel.roles import Role
from processing.reconciliation.commands import EXIT_CODE_DIFFERENT, app
from tests.plugins.postgres import Database
from tests.reconciliation.day import CLINIC, DAY, PHARMACY, PHARMACY_1, SETTLEMENTS, settle

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def asked(region: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Give the decided day, with the command line pointed at it."""
    monkeypatch.setenv("SPK_DSN", region.dsn(Role.FINANCE))
    return region


def exit_code_of(*words: object) -> int | str | None:
    """Run one command line and give the exit code of the process it would have been."""
    try:
        return run(app, [str(word) for word in words])
    except SystemExit as stop:
        return stop.code


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a plain file as any program would."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def summed(rows: list[dict[str, str]], column: str) -> int:
    return sum(int(row[column]) for row in rows)


def test_day(asked: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "day.csv"
    assert exit_code_of("day", DAY, "--out", out, "--lang", "en") == 0
    rows = rows_of(out)
    assert summed(rows, "gross_kopecks") == 40_503 + 200 + 150_000
    assert summed(rows, "covered_kopecks") == 17_552 + 100 + 150_000
    assert summed(rows, "paid_kopecks") == 22_951 + 100
    printed = capsys.readouterr().out
    assert "Totals of business date 2026-11-20" in printed
    assert "1,907.03" in printed
    assert f"{out}: {len(rows)} rows; their sums are those of the decisions" in printed
    assert "Not settled: 3." in printed
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [out]


def test_rows(asked: Database, tmp_path: Path) -> None:
    out = tmp_path / "day.csv"
    assert exit_code_of("day", DAY, "--out", out) == 0
    rows = rows_of(out)
    shown = [
        tuple(
            row[name]
            for name in (
                "terminal_id",
                "stan",
                "assigned",
                "kind",
                "advice",
                "outcome_name",
                "line_no",
                "quantity",
                "gross_kopecks",
                "covered_roubles",
                "measure",
                "excess",
            )
        )
        for row in rows
    ]
    conflict, partly = "RECORDED_IN_CONFLICT", "APPROVED_PARTLY"
    tap, off, sale, back, m50 = "no", "yes", "sale", "reversal", "M50"
    one = PHARMACY_1
    assert shown == [
        (CLINIC, "1", "0", sale, tap, "APPROVED", "1", "1", "150000", "1500.00", "OMS", "0"),
        (one, "1", "0", sale, tap, "APPROVED", "1", "3", "30003", "150.02", m50, "0"),
        (one, "1", "1", sale, off, conflict, "1", "4", "400", "0.00", "", "4"),
        (one, "2", "0", sale, tap, partly, "1", "2", "1999", "10.00", m50, "0"),
        (one, "2", "0", sale, tap, partly, "2", "1", "500", "0.00", "", "0"),
        (one, "3", "0", sale, tap, partly, "1", "5", "5000", "25.00", m50, "0"),
        (one, "3", "0", sale, tap, partly, "1", "5", "5000", "0.00", "", "0"),
        (one, "4", "0", back, tap, "APPROVED", "1", "-2", "-1999", "-10.00", m50, "0"),
        (one, "4", "0", back, tap, "APPROVED", "2", "-1", "-500", "0.00", "", "0"),
        (one, "5", "0", sale, off, "APPROVED", "1", "1", "100", "0.50", m50, "0"),
        ("PH000002", "2", "0", sale, tap, "APPROVED", "1", "1", "200", "1.00", m50, "0"),
    ]
    taken_back = next(row for row in rows if row["kind"] == "reversal")
    assert (taken_back["original_business_date"], taken_back["original_stan"]) == (
        "2026-11-20",
        "2",
    )
    first = rows[1]
    assert first["journal_place"] == "1-1-0"
    assert (first["provider_inn"], first["contract"]) == ("0101234567", '=1+2, "a"; b')
    assert (first["unit_okei"], first["scale"], first["tariff"]) == ("796", "0", "T-50")
    assert first["decided_at_utc"] == "2026-11-20 12:01:00"
    assert not {"category", "entitlement_id", "card_id", "holder_id"} & set(first)


def test_excel(asked: Database, tmp_path: Path) -> None:
    out = tmp_path / "day.csv"
    assert exit_code_of("day", DAY, "--out", out, "--excel", "--provider", PHARMACY) == 0
    content = out.read_bytes()
    assert content.startswith(BOM + b"business_date;posting_date;")
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    assert {row["provider_code"] for row in rows} == {PHARMACY}
    assert summed(rows, "covered_kopecks") == 17_552 + 100
    assert rows[0]["covered_roubles"] == "150,02"
    assert rows[0]["provider_inn"] == '="0101234567"'
    assert rows[0]["item"] == '="10/12"'
    assert rows[0]["contract"] == '="=1+2, ""a""; b"'


def test_categories_only_when_asked_for(asked: Database, tmp_path: Path) -> None:
    out = tmp_path / "day.csv"
    assert exit_code_of("day", DAY, "--out", out, "--with-categories") == 0
    assert {row["category"] for row in rows_of(out)} == {"VETERAN", "INSURED", ""}


def test_posting_date(asked: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "day.csv"
    assert exit_code_of("day", "2026-11-21", "--out", out, "--by", "posting") == 0
    rows = rows_of(out)
    assert {row["posting_date"] for row in rows} == {"2026-11-21"}
    assert {row["business_date"] for row in rows} == {"2026-11-20", "2026-11-21"}
    assert summed(rows, "covered_kopecks") == 50 - 100
    assert "сверки нет" in capsys.readouterr().out


def test_a_day_without_transactions(
    asked: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "day.csv"
    assert exit_code_of("day", "2020-02-29", "--out", out) == 0
    assert rows_of(out) == []
    assert out.read_text(encoding="utf-8").startswith("business_date,")
    assert "За 29.02.2020 операций нет" in capsys.readouterr().out


def test_totals_in_balance(asked: Database, capsys: pytest.CaptureFixture[str]) -> None:
    for terminal_id, totals in SETTLEMENTS.items():
        asyncio.run(settle(asked, terminal_id, totals))
    assert exit_code_of("totals", DAY) == 0
    printed = capsys.readouterr().out
    assert "Итоги операционного дня 20.11.2026" in printed
    assert "Итоги всех терминалов совпали с итогами центра" in printed
    assert "1\u00a0907,03" in printed


def test_totals_out_of_balance(asked: Database, capsys: pytest.CaptureFixture[str]) -> None:
    mine = SETTLEMENTS[PHARMACY_1]
    wrong = msgspec.structs.replace(mine, covered_kopecks=18_553, approved_count=6)
    asyncio.run(settle(asked, PHARMACY_1, wrong))
    assert exit_code_of("totals", DAY, "--lang", "en") == EXIT_CODE_DIFFERENT
    printed = capsys.readouterr().out
    assert "Terminals whose totals are DIFFERENT: 1" in printed
    assert f"{PHARMACY_1}, covered: terminal 185.53, centre 185.52" in printed
    assert f"{PHARMACY_1}, approved: terminal 6, centre 5" in printed
    assert "gross:" not in printed
    assert "Not settled: 2." in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["2026-13-01"], "there is no date 2026-13-01"),
        (["2026-02-29"], "there is no date 2026-02-29"),
        (["20.11.2026"], "20.11.2026 is not a date; write it as YYYY-MM-DD"),
        (["20261120"], "20261120 is not a date"),
        ([DAY, "--provider", "APTEKA-9"], "there is no provider APTEKA-9; did you mean APTEKA-1?"),
        ([DAY, "--provider", "apteka-1"], "there is no provider apteka-1; did you mean APTEKA-1?"),
        ([DAY, "--provider", "zzz"], "there is no provider zzz; `spk export totals DATE` shows"),
    ],
)
def test_a_wrong_question(
    asked: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[object],
    message: str,
) -> None:
    out = tmp_path / "day.csv"
    out.write_text("an older export", encoding="utf-8")
    assert exit_code_of("day", *words, "--out", out) == 2
    assert exit_code_of("totals", *words) == 2
    assert capsys.readouterr().err.count(f"spk: {message}") == 2
    assert out.read_text(encoding="utf-8") == "an older export"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere/day.csv", "No such file or directory; give a path in a folder that exists"),
        ("file/day.csv", "Not a directory; give a path in a folder"),
        (".", "is a folder; give the name of the file"),
        ("x" * 300, "File name too long"),
    ],
)
def test_an_unwritable_path(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str,
    message: str,
) -> None:
    # Refused before anybody asks the database, which is not there.
    monkeypatch.setenv("SPK_DSN", "postgresql://nobody@127.0.0.1:1/nothing")
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert exit_code_of("day", DAY, "--out", tmp_path / path) == 2
    assert message in capsys.readouterr().err


def test_a_full_disk(asked: Database, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    limits = pytest.importorskip("resource")
    before = limits.getrlimit(limits.RLIMIT_FSIZE)
    signal = pytest.importorskip("signal")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    out = tmp_path / "day.csv"
    limits.setrlimit(limits.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        exit_code = exit_code_of("day", DAY, "--out", out)
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert exit_code == 2
    assert f"spk: {out} cannot be written: File too large" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_categories_never_reach_a_provider(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--out", tmp_path / "day.csv", "--with-categories", "--provider", PHARMACY)
    assert exit_code_of("day", DAY, *words) == 2
    assert "never shows benefit categories" in capsys.readouterr().err


def test_a_journal_that_contradicts_itself(
    asked: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def forge() -> None:
        async with asked.connect() as admin:
            await admin.execute(
                "SET session_replication_role = replica; "
                "UPDATE journal.line SET covered_kopecks = covered_kopecks + 1, "
                "paid_kopecks = paid_kopecks - 1 "
                "WHERE terminal_id = 'PH000001' AND stan = 1 AND assigned = 0"
            )

    asyncio.run(forge())
    assert exit_code_of("day", DAY, "--out", tmp_path / "day.csv") == 4
    message = capsys.readouterr().err
    assert f"{PHARMACY_1}: lines 17553 covered and 22950 paid kopecks" in message
    assert "decisions 17552 covered and 22951 paid kopecks" in message
    assert list(tmp_path.iterdir()) == []
