"""A terminal fetches its rules: signed, and again only when they changed."""

from __future__ import annotations

from aiohttp.test_utils import TestClient, TestServer

from processing.gateways.terminal_rules import rules_application
from processing.kernel.clock import ManualClock, SystemClock
from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.terminals.rules import (
    RULES_LOOKED_UP_MS,
    RULES_RENEWED_MINUTES,
    RulesMarks,
    TerminalRules,
)
from processing.terminals.store import TerminalStore
from processing.wire.rules_file import Rules, SignedRules
from processing.wire.statement import Domain
from tests.authorization.world import TERMINAL, build
from tests.plugins.postgres import Database
from tests.plugins.stop_lists import PUBLIC_KEY, signer_of


async def marked(rules: TerminalRules) -> tuple[str, Rules]:
    """Return the mark that the centre keeps, and the rules in the file."""
    issued = await rules.newest(TERMINAL)
    assert issued is not None
    return issued.mark, SignedRules.decode(issued.body).rules(TERMINAL, (PUBLIC_KEY,))


async def test_a_network_answer_names_the_rules_in_force(database: Database) -> None:
    """The mark is that of the file, follows the regulations, and does not move with an issue."""
    async with database.connect() as connection:
        await build(connection)
    pool = await open_pool(database.dsn(Role.PROCESSING), Role.PROCESSING, "test")
    clock = ManualClock("Europe/Moscow", 1_772_695_800_000)
    store = TerminalStore(pool)
    rules = TerminalRules(store, signer_of(Domain.PARAMETER_FILE), clock)
    marks = RulesMarks(store, clock)
    mark, file = await marked(rules)
    assert mark == file.mark == await marks.of(TERMINAL)
    assert await marks.of("X9999999") == ""

    clock.advance(RULES_RENEWED_MINUTES * 60_000)
    assert (await marked(rules))[1] == file
    clock.advance(1)
    again, renewed = await marked(rules)
    assert again == mark == await marks.of(TERMINAL)
    assert renewed.usable_until_ms > file.usable_until_ms

    async with database.connect() as connection:
        await connection.execute("UPDATE regulations.service SET visit = 1, reserve_minutes = 9")
    # What was looked up a moment ago is told once more.
    assert await marks.of(TERMINAL) == mark
    clock.advance(RULES_LOOKED_UP_MS)
    changed, newest = await marked(rules)
    assert changed == newest.mark == await marks.of(TERMINAL)
    assert changed != mark
    assert {one.visit for one in newest.services} == {1}
    await pool.close()


async def test_rules_change_with_the_regulations(database: Database) -> None:
    async with database.connect() as connection:
        await build(connection)
    pool = await open_pool(database.dsn(Role.PROCESSING), Role.PROCESSING, "test")
    rules = TerminalRules(
        TerminalStore(pool), signer_of(Domain.PARAMETER_FILE), SystemClock("Europe/Moscow")
    )
    async with TestClient(TestServer(rules_application(rules))) as client:
        first = await client.get(f"/{TERMINAL}")
        told = SignedRules.decode(await first.read()).rules(TERMINAL, (PUBLIC_KEY,))
        assert {one.service for one in told.services} >= {"MED", "MONEY"}
        tag = first.headers["ETag"]
        again = await client.get(f"/{TERMINAL}", headers={"If-None-Match": tag})
        assert (again.status, await again.read()) == (304, b"")
        async with database.connect() as connection:
            await connection.execute("UPDATE regulations.service SET name_en = 'Drugs'")
        changed = await client.get(f"/{TERMINAL}", headers={"If-None-Match": tag})
        told = SignedRules.decode(await changed.read()).rules(TERMINAL, (PUBLIC_KEY,))
        assert {one.name_en for one in told.services} == {"Drugs"}
        assert changed.headers["ETag"] != tag
        assert (await client.get("/X9999999")).status == 404
    await pool.close()
