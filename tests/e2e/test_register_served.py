"""A centre with its exchange switched on, as another agency meets it, and its day's work."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processing.exchange.commands import app
from processing.kernel.errors import SpkError
from processing.kernel.roles import Role
from processing.register.identifiers import make_enp
from processing.register.store import RegisterStore
from tests.exchange import people as p
from tests.plugins.centre import READY_SECONDS, Programs
from tests.plugins.postgres import Database, Server, _temporary_database
from tests.register.people import approved, new

CENTRE, AGENCY = "sr.region99.example", "spmis.example.org"
SOON = datetime.now(UTC).date() + timedelta(days=5)
Spk = Callable[..., str]


@pytest.fixture
def agency_database(postgres: Server, migrated_template: str) -> Iterator[Database]:
    with _temporary_database(postgres, migrated_template) as database:
        yield database


@pytest.fixture
def side(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give what makes `spk exchange` of one home and database."""

    def of(home: Path, database: Database) -> Spk:
        home.mkdir(exist_ok=True)

        def spk(*words: object) -> str:
            monkeypatch.setenv("SPK_HOME", str(home))
            monkeypatch.setenv("SPK_DSN", database.superuser_dsn)
            app(list(map(str, words)), result_action="return_value")
            return str(capsys.readouterr().out)

        return spk

    return of


async def insure(database: Database) -> None:
    """Let the town's pensioner have a policy that ends soon and goes on by itself."""
    await p.populate(database)
    policy = new(
        "policy", 1, citizen_id=p.GALINA, enp=make_enp(99, date(1950, 1, 1), "f", 1),
        insurer="СМО", valid_from="2020-01-01", valid_to=SOON, prolongs=True,
    )  # fmt: skip
    async with database.connect(Role.REGISTER) as connection:
        await approved(RegisterStore(connection), policy)


async def ask(database: Database, query: str, *values: object) -> list[tuple[Any, ...]]:
    async with database.connect() as connection:
        return [tuple(row) for row in await connection.fetch(query, *values)]


def introduce(centre: Spk, agency: Spk, folder: Path) -> None:
    """Let each side know the other's keys, and the agency its token."""
    centre("init", CENTRE)
    agency("init", AGENCY)
    (folder / "agency.jwks").write_text(agency("jwks"))
    (folder / "centre.jwks").write_text(centre("jwks"))
    centre(
        "peer", "add", AGENCY, "--name", "Фонд", "--jwks-file", folder / "agency.jwks",
        "--purpose", "benefits", "--part", "identifier", "--part", "name", "--part", "category",
        "--token-file", folder / "token",
    )  # fmt: skip


@pytest.mark.timeout(180)
def test_another_agency_asks_a_running_centre(
    database: Database, agency_database: Database, programs: Programs, side: Any, tmp_path: Path
) -> None:
    asyncio.run(insure(database))
    centre, agency = side(programs.folder, database), side(tmp_path / "agency", agency_database)
    introduce(centre, agency, tmp_path)
    program, _ = programs.start_centre(SPK_DSN=database.superuser_dsn, SPK_DAILY_AT="00:00")
    port = program.wait_for("serving http")["port"]
    agency(
        "peer", "add", CENTRE, "--name", "Регистр", "--jwks-file", tmp_path / "centre.jwks",
        "--registry-uri", f"http://127.0.0.1:{port}", "--their-token-file", tmp_path / "token",
        "--purpose", "benefits", "--part", "identifier", "--token-file", tmp_path / "unused",
    )  # fmt: skip
    search = ("search", "--peer", CENTRE, "--purpose", "benefits", "--snils")
    found = msgspec.json.decode(agency(*search, p.GALINA_SNILS))
    (answer,) = found["search_response"]
    assert answer["status"] == "succ"
    assert p.GALINA_SNILS in msgspec.json.encode(answer["data"]).decode()
    assert "Ёлкина" in msgspec.json.encode(answer["data"]).decode()
    nobody = msgspec.json.decode(agency(*search, p.GALINA_SNILS.replace("4", "5")))
    assert nobody["search_response"][0].get("data", {}).get("reg_records", []) == []
    reads = asyncio.run(
        ask(
            database,
            "SELECT way, read_by FROM register.read_log WHERE citizen_id = $1 AND way = 'exchange'",
            p.GALINA,
        )
    )
    assert [way for way, _ in reads] == ["exchange"]
    assert AGENCY in reads[0][1]
    centre("peer", "suspend", AGENCY)
    with pytest.raises(SpkError, match="forbidden"):
        agency(*search, p.GALINA_SNILS)
    await_daily(program)
    policy = "SELECT valid_to FROM register.policy"
    facts = "SELECT DISTINCT valid_to FROM rights.holder_fact WHERE fact = 'policy'"
    (prolonged,) = asyncio.run(ask(database, policy))[0]
    assert prolonged > SOON + timedelta(days=360)
    assert asyncio.run(ask(database, facts)) == [(prolonged,)]
    assert program.end() == 0


def await_daily(program: Any) -> None:
    """Wait until both works of the day are done; the program has a minute for it."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(AssertionError):
            assert {one["work"] for one in program.logged("daily work done")} == {
                "register",
                "eligibility",
            }
            return
        time.sleep(0.2)
    pytest.fail(f"the day's work was not done:\n{program.text}")
