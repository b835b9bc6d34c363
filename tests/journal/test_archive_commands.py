"""`spk journal` as an operator meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from processing.cli import run
from processing.journal.archive_commands import app
from processing.kernel.roles import Role
from tests.plugins.postgres import Database


@pytest.fixture
def operator(history: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Give the history to commands that read SPK_DSN."""
    monkeypatch.setenv("SPK_DSN", history.dsn(Role.OPERATOR))
    return history


def spk(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and what it printed."""
    try:
        code = run(app, arguments)
    except SystemExit as left:
        code = int(left.code or 0)
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def row_of(printed: str, month: str) -> list[str]:
    (line,) = [line for line in printed.splitlines() if line.startswith(f"│ {month}")]
    return [cell.strip() for cell in line.strip("│").split("│")]


@pytest.mark.usefixtures("operator")
def test_a_month_through_its_life(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = str(tmp_path / "archive")
    code, printed = spk(capsys, "partitions")
    assert code == 0
    month, state, settled, events, lines, _, first, last = row_of(printed, "2026-03")
    assert (month, state, events, lines) == ("2026-03", "open", "6", "6")
    assert settled == "no: 1 conflicts, 2 days"
    assert (first, last) == ("2026-03-02", "2026-03-03")
    assert row_of(printed, "other")[3] == "0"

    code, printed = spk(capsys, "archive", "--before", "2026-04", "--out", out)
    assert (code, "2026-02 is not settled" in printed) == (2, True)
    code, printed = spk(capsys, "archive", "--before", "2026-04", "--out", out, "--even-unsettled")
    assert code == 0, printed
    assert f"2 months before 2026-04 are beside the journal and in files: {out}" in printed
    assert row_of(spk(capsys, "partitions")[1], "2026-03")[1] == "detached"

    code, printed = spk(capsys, "archive", "--before", "2026-04", "--out", out, "--drop")
    assert code == 0, printed
    assert "are in files only" in printed
    assert row_of(spk(capsys, "partitions")[1], "2026-03")[1:5] == ["dropped", "", "6", "6"]

    code, printed = spk(capsys, "restore", "2026-03", "--from", out)
    assert code == 0, printed
    assert row_of(spk(capsys, "partitions")[1], "2026-03")[1] == "closed"


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("archive", "--before", "04.2026", "--out", "x"), 2, "04.2026 is not a month; write it"),
        (("archive", "--before", "2026-13", "--out", "x"), 2, "2026-13 is not a month; write it"),
        (("restore", "2025-01", "--from", "x"), 2, "the journal has no month 2025-01"),
        (("restore", "2026-03", "--from", "x"), 2, "2026-03 is in the journal; there is nothing"),
        (
            ("archive", "--before", "2026-04", "--out", "/dev/null/x", "--even-unsettled"),
            2,
            "give a folder that you may write to with --out",
        ),
    ],
)
def test_a_wrong_order_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    left, printed = spk(capsys, *arguments)
    assert (left, said in printed) == (code, True), printed
