"""`spk centre run` as a process: it refuses to start in words, serves, and stops in order."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import Callable, Iterator

import asyncpg
import pytest

from processing.kernel.embedded import EmbeddedPostgres
from processing.wire.outcome import Outcome
from processing.wire.transaction import Answer
from tests.authorization.audit import audit
from tests.plugins.centre import Program, Programs
from tests.plugins.line import Line, open_line
from tests.plugins.postgres import Database
from tests.plugins.town import SHOPS, Shop, build_town, citizen

NOWHERE = "postgresql://nobody@127.0.0.1:1/spk"


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Give a port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def assert_refused(program: Program, code: int, *parts: str) -> None:
    """Hold that a program ended with one line that says all of `parts`."""
    found = program.exit_code()
    assert "Traceback" not in program.text, program.text
    last = program.lines[-1]
    assert last.startswith("spk: "), program.text
    assert [part for part in parts if part not in last] == [], last
    assert found == code, program.text


def test_an_empty_database_is_refused(programs: Programs, empty_database: Database) -> None:
    program = programs.start("centre", "run", SPK_DSN=empty_database.superuser_dsn)
    assert_refused(program, 2, "the database lacks", "`spk db migrate`")


def test_a_database_that_lacks_a_file_is_refused(programs: Programs, database: Database) -> None:
    asyncio.run(_execute(database, "DELETE FROM public.spk_migration"))
    program = programs.start("centre", "run", SPK_DSN=database.superuser_dsn)
    assert_refused(program, 2, "0001_initial.sql", "run `spk db migrate`")


def test_a_database_that_forgets_is_refused(programs: Programs, database: Database) -> None:
    name = database.name
    asyncio.run(_execute(database, f"ALTER DATABASE {name} SET synchronous_commit = off"))
    program = programs.start("centre", "run", SPK_DSN=database.superuser_dsn)
    assert_refused(program, 2, "synchronous_commit is off", "set by: database")


def test_a_server_without_fsync_is_refused(programs: Programs) -> None:
    server = EmbeddedPostgres(programs.folder)
    server.start()
    try:
        asyncio.run(_set_server(server.superuser_dsn(), "fsync", "full_page_writes"))
        program = programs.start("centre", "run")
        assert_refused(program, 2, "fsync is off", "full_page_writes is off", "ALTER SYSTEM SET")
    finally:
        server.stop()


def test_a_database_that_is_away_is_refused(programs: Programs) -> None:
    assert_refused(
        programs.start("centre", "run", SPK_DSN=NOWHERE), 1, "127.0.0.1:1/spk", "not answer"
    )


def test_without_a_key_service_it_says_what_to_run(programs: Programs, database: Database) -> None:
    nowhere = f"unix:{programs.folder / 'hsm.sock'}"
    program = programs.start("centre", "run", SPK_DSN=database.superuser_dsn, SPK_HSM=nowhere)
    assert_refused(program, 1, "hsm.sock", "`spk hsm run`")


@pytest.mark.parametrize("variable", ["SPK_ISO8583_LISTEN", "SPK_HTTP_LISTEN"])
def test_a_port_that_is_taken_is_named(
    programs: Programs, database: Database, taken_port: int, variable: str
) -> None:
    address = f"127.0.0.1:{taken_port}"
    program = programs.start("centre", "run", SPK_DSN=database.superuser_dsn, **{variable: address})
    assert_refused(
        program, 2, f"{variable}={address}", "Address already in use", "another host:port"
    )


def test_an_address_that_is_not_here_is_named(programs: Programs, database: Database) -> None:
    program = programs.start(
        "centre", "run", SPK_DSN=database.superuser_dsn, SPK_ISO8583_LISTEN="192.0.2.1:0"
    )
    assert_refused(program, 2, "SPK_ISO8583_LISTEN=192.0.2.1:0", "Cannot assign requested address")


WRONG = [
    ({"SPK_DNS": "postgresql://x/y"}, "did you mean SPK_DSN?"),
    ({"SPK_DSN": "spk"}, "SPK_DSN must be an address"),
    ({"SPK_TIME_ZONE": "Moscow"}, "SPK_TIME_ZONE: Moscow"),
    ({"SPK_ISO8583_LISTEN": "8583"}, "SPK_ISO8583_LISTEN=8583 must be host:port"),
    ({"SPK_LOG_LEVEL": "loud"}, "SPK_LOG_LEVEL=loud"),
]


def test_wrong_settings_are_named(programs: Programs) -> None:
    started = [(programs.start("centre", "run", **wrong), says) for wrong, says in WRONG]
    for program, says in started:
        assert_refused(program, 2, says)


Get = Callable[[str], tuple[int, str]]


def _get(port: int, path: str) -> tuple[int, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.status, answer.read().decode()


async def test_it_serves_and_stops_in_order(programs: Programs, database: Database) -> None:
    async with database.connect() as connection:
        await build_town(connection)
    centre, port = await asyncio.to_thread(programs.start_centre, SPK_DSN=database.superuser_dsn)
    http_port = centre.wait_for("serving http")["port"]
    line = await open_line(port, programs.mac(SHOPS[0]))
    sold = await line.decide(Shop().sale(citizen(1)))
    assert sold.outcome is Outcome.APPROVED
    assert '"status":"ok"' in (await asyncio.to_thread(_get, http_port, "/health"))[1]
    metrics = (await asyncio.to_thread(_get, http_port, "/metrics"))[1]
    answers = [line for line in metrics.splitlines() if line.startswith("spk_iso8583_answers")]
    assert any('outcome="APPROVED"' in line and line.endswith(" 1.0") for line in answers), answers
    centre.ask_to_end()
    assert await line.hung_up()
    await line.close()
    assert await asyncio.to_thread(centre.exit_code) == 0
    assert centre.logged("stopped")
    assert "Traceback" not in centre.text


async def test_it_answers_what_it_accepted_when_told_to_end(
    programs: Programs, database: Database
) -> None:
    async with database.connect() as connection:
        await build_town(connection)
    centre, port = await asyncio.to_thread(programs.start_centre, SPK_DSN=database.superuser_dsn)
    lines = {shop: await open_line(port, programs.mac(shop)) for shop in SHOPS[:4]}
    sales = {}
    for shop, line in lines.items():
        till = Shop(shop)
        sales[shop] = [till.sale(citizen(1 + number % 8)) for number in range(150)]
        await line.send(*(line.message(sale) for sale in sales[shop]))
    told = [await line.answer() for line in lines.values()]
    centre.ask_to_end()
    for line in lines.values():
        told += await _rest(line)
    assert await asyncio.to_thread(centre.exit_code) == 0
    decided = {one.key for one in told if isinstance(one, Answer) and one.outcome.decided}
    async with database.connect() as connection:
        stored = await connection.fetchval("SELECT count(*) FROM journal.event")
        assert await audit(connection) == []
    assert stored == len(decided) >= 4, "what is in the journal was told"


async def _rest(line: Line) -> list[Answer]:
    answers = []
    try:
        while True:
            answer = await line.answer()
            assert isinstance(answer, Answer)
            answers.append(answer)
    except (EOFError, ConnectionError):
        await line.close()
    return answers


async def _execute(database: Database, statement: str) -> None:
    async with database.connect() as connection:
        await connection.execute(statement)


async def _set_server(dsn: str, *off: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for setting in off:
            await connection.execute(f"ALTER SYSTEM SET {setting} = off")
        await connection.execute("SELECT pg_reload_conf()")
        # The reload reaches a backend at its next command.
        async with asyncio.timeout(30):
            shown = "on"
            while shown == "on":
                shown = await connection.fetchval("SELECT current_setting('fsync')")
    finally:
        await connection.close()
