"""A centre in the test's own event loop: gateway, engine and key service over a real database."""

from __future__ import annotations

import asyncio
import contextlib
import io
import tempfile
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client.address import UnixAddress
from hsm_stub.client.async_client import AsyncHsmClient
from hsm_stub.key_material import KeyMaterial
from hsm_stub.keyring import SigningKey
from hsm_stub.security_module import SecurityModule
from processing.app import TerminalDesk
from processing.authorization.batcher import BatchMetrics
from processing.authorization.engines import running_engines
from processing.gateways.iso8583 import Gateway
from processing.gateways.port import GatewayLimits, GatewayMetrics
from processing.journal.lane import Lane
from processing.kernel.clock import Clock, SystemClock
from processing.kernel.config import LogFormat, LogLevel
from processing.kernel.database import SessionLimits, open_session
from processing.kernel.log import open_log
from processing.kernel.metrics import new_registry
from processing.kernel.roles import Role
from processing.kernel.targets import Target
from processing.reconciliation.targets import terminal_settlement
from processing.terminals.copies import terminal_store
from processing.terminals.keys import TerminalKeys
from processing.terminals.network import TerminalNetwork
from processing.wire.iso8583.framing import Framing
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.spec import Profile
from processing.wire.transaction import Request
from tests.hsm_stub.running import serving
from tests.plugins.line import Line, open_line
from tests.plugins.targets import Databases
from tests.plugins.town import SHOPS, ZONE, allowance_id, build_town, business_day, citizen

QUICK_LIMITS = SessionLimits(connect_timeout_ms=2_000)


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """How the centre's port is set up."""

    framing: Framing = Framing()
    profile: Profile = Profile.BINARY
    limits: GatewayLimits = GatewayLimits(terminal_rate_per_second=0)
    clock: Clock = SystemClock(ZONE)


class LiveCentre:
    """A serving centre and all that a test may do to it."""

    def __init__(self, databases: Databases, material: KeyMaterial, port: Port) -> None:
        self.databases = databases
        self.database = databases.home
        self.port = port
        self.number = 0
        self.log = io.StringIO()
        self.registry = new_registry()
        self.receipt_public_key = material.ring.active(SigningKey.RECEIPT).public_point
        self._material = material
        self._hsm_folder = Path()
        self._hsm_ends = contextlib.AsyncExitStack()
        self._lines = contextlib.AsyncExitStack()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[LiveCentre]:
        """Serve until the end of the block."""
        clock = self.port.clock
        log = open_log(LogFormat.JSON, LogLevel.DEBUG, self.log)
        async with contextlib.AsyncExitStack() as rooms:
            folder = rooms.enter_context(tempfile.TemporaryDirectory(prefix="spk-hsm-"))
            self._hsm_folder = Path(folder)
            await self.start_hsm()
            rooms.push_async_callback(self.stop_hsm)
            hsm = await rooms.enter_async_context(AsyncHsmClient(self._hsm_address))
            several = len(self.databases.map) > 1
            pools = await rooms.enter_async_context(
                self.databases.pools(Role.PROCESSING, QUICK_LIMITS, patient=several)
            )
            self.engine: Any = await rooms.enter_async_context(
                running_engines(pools, _new_lane, hsm, clock, log, BatchMetrics(self.registry))
            )
            terminals = terminal_store(pools)
            self.gateway = Gateway(
                framing=self.port.framing,
                profile=self.port.profile,
                keys=TerminalKeys(terminals, hsm),
                handlers=TerminalDesk(
                    self.engine,
                    terminal_settlement(pools),
                    TerminalNetwork(terminals, hsm, clock),
                    clock,
                    log,
                ),
                log=log,
                metrics=GatewayMetrics(self.registry),
                limits=self.port.limits,
            )
            self.number = await self.gateway.listen("127.0.0.1", 0)
            rooms.push_async_callback(self.gateway.close)
            rooms.push_async_callback(self._lines.aclose)
            yield self

    @property
    def _hsm_address(self) -> UnixAddress:
        return UnixAddress(self._hsm_folder / "hsm.sock")

    async def start_hsm(self) -> None:
        """Start the key service."""
        module = SecurityModule(
            SoftwareBackend(self._material), lambda: time.monotonic_ns() // 1_000_000
        )
        await self._hsm_ends.enter_async_context(serving(module, self._hsm_address))

    async def stop_hsm(self) -> None:
        """Stop the key service; the centre loses its connection to it."""
        await self._hsm_ends.aclose()

    async def mac_key(self, terminal_id: str = SHOPS[0], key_id: int = 1) -> bytes:
        """Return the bytes of a terminal's key, as its parameter file holds them."""
        async with AsyncHsmClient(self._hsm_address) as hsm:
            return await hsm.derive_terminal_key(terminal_id, key_id)

    async def exchange_key(self, terminal_id: str) -> bytes:
        """Return the key under which a terminal is handed its next MAC key."""
        async with AsyncHsmClient(self._hsm_address) as hsm:
            return await hsm.derive_exchange_key(terminal_id, 1)

    async def mac(self, terminal_id: str = SHOPS[0], key_id: int = 1) -> Mac:
        """Return a terminal's key."""
        return Mac(await self.mac_key(terminal_id, key_id))

    async def line(self, terminal_id: str = SHOPS[0], **options: Any) -> Line:
        """Connect in the name of a terminal; hung up when the centre ends."""
        opened = await open_line(
            self.number,
            options.pop("mac", None) or await self.mac(terminal_id),
            framing=options.pop("framing", self.port.framing),
            profile=options.pop("profile", self.port.profile),
            **options,
        )
        self._lines.push_async_callback(opened.close)
        return opened

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event, oldest first."""
        lines = (msgspec.json.decode(line) for line in self.log.getvalue().splitlines())
        return [line for line in lines if line["event"] == event]

    async def events(self) -> int:
        """Return how many events the journal holds."""
        return int(await self.value("SELECT count(*) FROM journal.event"))

    async def stored(self, request: Request) -> int | None:
        """Return the outcome stored under a request's key; None when the key is free."""
        key = request.key
        found: int | None = await self.value(
            "SELECT outcome FROM journal.event WHERE business_date = $1 AND terminal_id = $2 "
            "AND stan = $3 AND message_class = $4",
            key.business_date,
            key.terminal_id,
            key.stan,
            int(key.message_class),
        )
        return found

    async def used(self, number: int = 1) -> int:
        """Return what citizen `number` has taken of the allowance."""
        return int(
            await self.value(
                "SELECT coalesce(sum(used), 0) FROM rights.counter WHERE allowance_id = $1",
                allowance_id(citizen(number)),
            )
        )

    async def value(self, query: str, *values: object) -> Any:
        """Look one value up as superuser; of several databases' numbers the sum."""
        found = await self.databases.everywhere(lambda one: one.fetchval(query, *values))
        told = [value for value in found if value is not None]
        if len(told) > 1 and all(isinstance(value, int | Decimal) for value in told):
            return sum(told)
        return told[0] if told else None

    async def execute(self, statement: str, *values: object) -> None:
        """Change something as superuser."""
        await self.databases.everywhere(lambda one: one.execute(statement, *values))

    async def cut_database(self, *numbers: int) -> None:
        """Make databases unreachable, by default all: sessions end, no new one begins."""
        for number in numbers or self.databases.by_number:
            name = self.databases.by_number[number].name
            connection = await asyncpg.connect(self.database.server.superuser_dsn("postgres"))
            try:
                await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                await connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE datname = $1",
                    name,
                )
            finally:
                await connection.close()

    async def mend_database(self) -> None:
        """Let sessions begin again."""
        for database in self.databases.by_number.values():
            await database.server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")


@contextlib.asynccontextmanager
async def live_centre(
    databases: Databases, material: KeyMaterial, port: Port | None = None
) -> AsyncIterator[LiveCentre]:
    """Serve the town of tests/plugins/town.py from its databases."""
    await databases.everywhere(build_town)
    await databases.everywhere(
        lambda one: one.execute(
            "SELECT journal.ensure_partitions($1::date, $1::date + 1)", business_day()
        )
    )
    async with LiveCentre(databases, material, port or Port()).serving() as centre:
        yield centre


async def assert_until(condition: Any, what: str) -> None:
    """Give the loop turns until `condition()` is true; it has half a minute."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 30
    while True:
        if condition():
            return
        assert loop.time() < deadline, f"not yet: {what}"
        await asyncio.sleep(0.005)


def _new_lane(target: Target) -> Lane:
    dsn = target.dsn
    assert dsn is not None
    return Lane(
        lambda: open_session(dsn, Role.PROCESSING, "test lane", QUICK_LIMITS), target.first_lane
    )
