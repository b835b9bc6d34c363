"""A terminal fetches its rules: signed, and again only when they changed."""

from __future__ import annotations

from aiohttp.test_utils import TestClient, TestServer

from processing.gateways.terminal_rules import rules_application
from processing.kernel.clock import SystemClock
from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.terminals.rules import TerminalRules
from processing.terminals.store import TerminalStore
from processing.wire.rules_file import SignedRules
from processing.wire.statement import Domain
from tests.authorization.world import TERMINAL, build
from tests.plugins.postgres import Database
from tests.plugins.stop_lists import PUBLIC_KEY, signer_of


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
