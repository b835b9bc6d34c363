"""Visits as an operator sees them: open, finished and forgotten ones, without who was there."""

from __future__ import annotations

from datetime import date, timedelta

import asyncpg
import pytest

from processing.kernel.roles import Role
from processing.visits import commands
from tests.authorization.test_kinds import expire
from tests.authorization.test_visits import care, finish, later, start, with_care
from tests.authorization.world import DAY, OTHER_TERMINAL, Centre, build, grant, pills, reserve
from tests.plugins.targets import Databases

FORGOTTEN_AFTER = timedelta(minutes=121)


async def some_visits(connection: asyncpg.Connection) -> None:
    """Leave one visit open, finish another, forget a third, and put goods aside.

    The last one begins later and elsewhere, so that it outlives the third.
    """
    await build(connection)
    await with_care(connection)
    await grant(connection, "PILL", 9)
    centre = Centre(connection, role=Role.PROCESSING)
    finished, forgotten = start(1, care(60)), start(2, care(30), care(20))
    challenge = (await centre.decide_one(finished)).facts["challenge"]
    await centre.decide(forgotten, reserve(3, pills(1, 100)))
    done = finish(4, finished, challenge, care(50), after=60)
    await centre.decide_one(done, at=later(60))
    lasting = start(5, care(10), terminal=OTHER_TERMINAL, signed_at=later(100))
    await centre.decide_one(lasting, at=later(100))
    assert await expire(centre, FORGOTTEN_AFTER) == 2


@pytest.fixture
async def visited(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Databases:
    """Give a database with visits, and the settings of the operator's command."""
    async with databases.home.connect() as connection:
        await some_visits(connection)
    for name, value in databases.settings(tmp_path_factory.mktemp("targets")).items():
        monkeypatch.setenv(name, value)
    return databases


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


async def test_who_may_see_visits_sees_nobody(visited: Databases) -> None:
    async with visited.home.connect(Role.OPERATOR) as connection:
        rows = [
            *await connection.fetch("SELECT * FROM journal.open_visit"),
            *await connection.fetch("SELECT * FROM journal.forgotten_visit"),
        ]
    assert [(row["stan"], row["held"]) for row in rows] == [(5, "CARE=10"), (2, "CARE=30 CARE=20")]
    assert not {name for row in rows for name in dict(row)} & {"card_id", "holder_id", "request"}
    for role in (Role.REGISTER, Role.ISSUING):
        async with visited.home.connect(role) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch("SELECT * FROM journal.open_visit")


@pytest.mark.one_database
def test_open_visits_are_listed(visited: Databases, capsys: pytest.CaptureFixture[str]) -> None:
    commands.open_now()
    told = shown(capsys)
    assert "20260302-T0000002-000005" in told
    assert "CARE=10" in told
    assert "000002" not in told.replace("T0000002", "")
    commands.open_now(provider="APTEKA-8", lang="en")
    assert shown(capsys) == "No visit is open"


@pytest.mark.one_database
def test_forgotten_visits_are_listed(
    visited: Databases, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.forgotten(since=DAY, until=DAY, lang="en")
    told = shown(capsys)
    assert "20260302-T0000001-000002" in told
    assert "CARE=30 CARE=20" in told
    assert "000005" not in told
    commands.forgotten(since=DAY + timedelta(days=1), until=date(2026, 12, 31))
    assert shown(capsys) == "Забытых посещений нет"
    with pytest.raises(Exception, match="позже"):
        commands.forgotten(since=DAY, until=DAY - timedelta(days=1))
