"""`spk explain`: why a transaction was decided so, to each reader what it may know."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from processing.cli import run
from processing.journal.explain_commands import app
from processing.kernel.roles import Role
from tests.authorization.world import (
    BLOCKED_CARD,
    STRANGER,
    Centre,
    completion,
    grant,
    inquiry,
    pills,
    reserve,
    sale,
)
from tests.plugins.postgres import Database

PLACE = ("2026-03-02", "t0000001")


async def decide(live: Database) -> None:
    async with live.connect() as connection:
        await grant(connection, "PILL", 3)
        centre = Centre(connection)
        held = reserve(5, pills(1, 100))
        await centre.decide(sale(1, pills(2, 10_000)), sale(2, pills(2, 10_000)))
        await centre.decide(sale(3, pills(1, 100), card=BLOCKED_CARD))
        await centre.decide(sale(4, pills(1, 100), holder=STRANGER), held, inquiry(7))
        await centre.decide(completion(6, held, pills(1, 100)))


@pytest.fixture
def operator(live: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Give decisions to commands that read SPK_DSN."""
    asyncio.run(decide(live))
    monkeypatch.setenv("SPK_DSN", live.dsn(Role.OPERATOR))
    return live


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and its words, without the table's lines."""
    try:
        code = run(app, arguments)
    except SystemExit as left:
        code = int(left.code or 0)
    printed = capsys.readouterr()
    return code, " ".join((printed.out + printed.err).replace("│", " ").split())


@pytest.mark.usefixtures("operator")
def test_each_reader_is_told_what_it_may_know(capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        ("1", "ru"): (["703 APPROVED", "покрыто 100,00", "Регламент «Лекарства», версия 2"], []),
        ("2", "ru"): (["602", "остаток", "1 штук", "Возьмите не больше 1"], ["покрыто"]),
        ("2", "en"): (["602 ALLOWANCE_EXHAUSTED", "1 piece left", "Take no more than"], []),
        ("3", "en"): (["303 CARD_BLOCKED", "The centre's rules, v. 1", "card_state=2"], []),
        ("4", "ru"): (["305 CARD_NOT_FOR_HOLDER", "authority=none"], []),
        ("6", "ru"): (["выдача отложенного", "703 APPROVED"], []),
        ("7", "en"): (["inquiry", "703 APPROVED"], ["Money"]),
    }
    for (stan, lang), (said, unsaid) in cases.items():
        code, words = explained(capsys, *PLACE, stan, "--lang", lang)
        assert code == 0, words
        assert [part for part in said if part not in words] == [], words
        assert [part for part in unsaid if part in words] == [], words


@pytest.mark.usefixtures("operator")
def test_what_is_not_there_and_what_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(capsys, *PLACE, "99", "--lang", "en") == (
        1,
        "2026-03-02 t0000001 99: no such transaction. Check date, terminal and number",
    )
    for wrong, told in (("99x", "not a number of 1 to 6 digits"), ("1234567", "1 to 6 digits")):
        code, words = explained(capsys, *PLACE, wrong)
        assert (code, told in words) == (2, True)
    code, words = explained(capsys, "02.03.2026", "T0000001", "1")
    assert (code, "write it as YYYY-MM-DD" in words) == (2, True)


async def test_nobody_else_may_ask(live: Database) -> None:
    for role in (Role.PROCESSING, Role.REGISTER, Role.ISSUING):
        async with live.connect(role) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch("SELECT * FROM journal.told")
