"""The centre's composition root: the only module that sees every room.

`spk centre run` reads the settings, finds the database and the key service, builds the rooms once
and hands each what it needs. It stops on SIGTERM or SIGINT: accepts nothing more, answers what it
accepted, then closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Annotated, Final

import cyclopts
import msgspec
from aiohttp import web
from cyclopts import Parameter
from structlog.typing import FilteringBoundLogger

from hsm_stub.client.async_client import AsyncHsmClient, connect_async
from processing.authorization.batcher import BatchMetrics
from processing.authorization.engine import Engine
from processing.authorization.store import AuthorizationStore
from processing.cards.issuing import Issuing
from processing.cards.report_check import IssuingAuthority
from processing.cards.store import CardStore
from processing.gateways.http import HttpParts, http_application
from processing.gateways.iso8583 import Gateway, GatewayMetrics
from processing.journal.lane import Lane, lanes_held
from processing.journal.store import JournalStore
from processing.kernel.clock import Clock, SystemClock
from processing.kernel.config import Settings, read_settings
from processing.kernel.database import (
    DatabasePool,
    check_durability,
    open_pool,
    open_session,
)
from processing.kernel.errors import DatabaseError, SpkError
from processing.kernel.locate import database_dsn
from processing.kernel.log import capture_standard_library, open_log
from processing.kernel.metrics import new_registry
from processing.kernel.migrate import check_migrated
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root
from processing.reconciliation.terminal_totals import TerminalSettlement
from processing.terminals.keys import TerminalKeys
from processing.terminals.store import TerminalStore
from processing.wire.api import ProbeResult, ProbeStatus
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    NetworkCode,
    Settlement,
    Totals,
    TotalsAnswer,
)
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import FramingName, ProfileName
from processing.wire.transaction import Answer, Request

PARTITIONS_BEHIND_DAYS: Final = 31
PARTITIONS_AHEAD_DAYS: Final = 62
PARTITIONS_CHECK_SECONDS: Final = 6 * 3600
HSM_READY_TIMEOUT_MS: Final = 10_000
"""How long the centre waits for the key service when both are started together."""

DATABASE_CHECK_SECONDS: Final = 2
"""How often the centre looks whether its embedded database still runs."""

app = cyclopts.App(name="centre", help="Run the processing centre.")


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `spk centre run` was told."""

    framing: FramingName
    profile: ProfileName


@app.command
def run(
    *,
    framing: Annotated[
        FramingName, Parameter(help="How frames are told apart.")
    ] = FramingName.LENGTH_2,
    profile: Annotated[
        ProfileName, Parameter(help="Binary fields as bytes, or as hex text.")
    ] = ProfileName.BINARY,
) -> None:
    """Serve terminals (ISO 8583), stations and operators (HTTP) until SIGTERM or Ctrl-C.

    Settings come from the environment: SPK_HOME, SPK_DSN, SPK_HSM, SPK_ISO8583_LISTEN,
    SPK_HTTP_LISTEN, SPK_TIME_ZONE, SPK_LOG_LEVEL, SPK_LOG_FORMAT.
    """
    settings = read_settings(os.environ)
    log = open_log(settings.log_format, settings.log_level, sys.stderr)
    capture_standard_library(log, settings.log_level)
    dsns = {role: database_dsn(settings, role) for role in (Role.PROCESSING, Role.ISSUING)}
    runner = asyncio.Runner(loop_factory=_loop_factory())
    with runner:
        runner.run(Centre(settings, dsns, log).serve(RunOptions(framing=framing, profile=profile)))


class Centre:
    """The rooms of one running centre, built in `serve` and closed at its end."""

    def __init__(
        self, settings: Settings, dsns: Mapping[Role, str], log: FilteringBoundLogger
    ) -> None:
        self._settings = settings
        self._dsns = dsns
        self._log = log
        self._clock: Clock = SystemClock(settings.time_zone)
        self._registry = new_registry()

    async def serve(self, options: RunOptions) -> None:
        """Serve until asked to stop; raises before it listens when something is missing."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with contextlib.AsyncExitStack() as rooms:
            hsm = await rooms.enter_async_context(connect_async(self._settings.hsm_address))
            await hsm.wait_ready(HSM_READY_TIMEOUT_MS)
            pool = await rooms.enter_async_context(self._pool(Role.PROCESSING))
            await self._check_schema(pool)
            engine = await rooms.enter_async_context(self._engine(pool, hsm))
            await rooms.enter_async_context(self._http(pool, hsm))
            await rooms.enter_async_context(self._gateway(pool, hsm, engine, options))
            tasks = [loop.create_task(self._keep_partitions(pool))]
            if self._settings.dsn is None:
                tasks.append(loop.create_task(self._keep_database()))
            await stop.wait()
            self._log.info("stopping", reason="asked to")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._log.info("stopped")

    @contextlib.asynccontextmanager
    async def _pool(self, role: Role) -> AsyncIterator[DatabasePool]:
        pool = await open_pool(self._dsns[role], role, "spk centre")
        try:
            yield pool
        finally:
            await pool.close()

    async def _check_schema(self, pool: DatabasePool) -> None:
        async with pool.connection() as connection:
            await check_migrated(connection, read_sql_folder(sql_root()))
        await self._make_partitions(pool)

    @contextlib.asynccontextmanager
    async def _engine(self, pool: DatabasePool, hsm: AsyncHsmClient) -> AsyncIterator[Engine]:
        dsn = self._dsns[Role.PROCESSING]
        lane = Lane(lambda: open_session(dsn, Role.PROCESSING, "spk centre lane"))
        engine = Engine(
            store=AuthorizationStore(pool),
            journal=JournalStore(pool),
            signer=hsm,
            lane=lane,
            clock=self._clock,
            log=self._log,
            metrics=BatchMetrics(self._registry),
        )
        engine.start()
        try:
            yield engine
        finally:
            await engine.drain()
            await lane.release()

    @contextlib.asynccontextmanager
    async def _gateway(
        self, pool: DatabasePool, hsm: AsyncHsmClient, engine: Engine, options: RunOptions
    ) -> AsyncIterator[None]:
        gateway = Gateway(
            framing=options.framing.framing,
            profile=options.profile.profile,
            keys=TerminalKeys(TerminalStore(pool), hsm),
            handlers=TerminalDesk(engine, TerminalSettlement(pool), self._clock, self._log),
            log=self._log,
            metrics=GatewayMetrics(self._registry),
        )
        listen = self._settings.iso8583_listen
        port = await gateway.listen(listen.host, listen.port)
        self._log.info("serving terminals", host=listen.host, port=port)
        try:
            yield
        finally:
            await gateway.close()

    @contextlib.asynccontextmanager
    async def _http(self, pool: DatabasePool, hsm: AsyncHsmClient) -> AsyncIterator[None]:
        async with self._pool(Role.ISSUING) as issuing_pool:
            authority = IssuingAuthority(tuple((await hsm.public_keys()).issuing_certificates))
            parts = HttpParts(
                registry=self._registry,
                probes={"database": lambda: _probe_database(pool), "hsm": lambda: _probe_hsm(hsm)},
                issuing=Issuing(CardStore(issuing_pool), authority, self._clock),
            )
            runner = web.AppRunner(http_application(parts), access_log=None)
            await runner.setup()
            listen = self._settings.http_listen
            site = web.TCPSite(runner, listen.host, listen.port)
            await site.start()
            self._log.info("serving http", host=listen.host, port=_port_of(runner))
            try:
                yield
            finally:
                await runner.cleanup()

    async def _make_partitions(self, pool: DatabasePool) -> None:
        today = self._clock.local_date()
        async with pool.connection() as connection:
            made = await connection.fetchval(
                "SELECT journal.ensure_partitions($1, $2)",
                today - timedelta(days=PARTITIONS_BEHIND_DAYS),
                today + timedelta(days=PARTITIONS_AHEAD_DAYS),
            )
        if made:
            self._log.info("partitions made", names=made)

    async def _keep_partitions(self, pool: DatabasePool) -> None:
        while True:
            await asyncio.sleep(PARTITIONS_CHECK_SECONDS)
            try:
                await self._make_partitions(pool)
            except DatabaseError as error:
                # The default partition takes what comes meanwhile.
                self._log.error("partitions not made", fault=str(error))

    async def _keep_database(self) -> None:
        """Start the embedded server again when it died; what waits is then tried again."""
        while True:
            await asyncio.sleep(DATABASE_CHECK_SECONDS)
            try:
                await asyncio.to_thread(database_dsn, self._settings, Role.PROCESSING)
            except SpkError as error:
                self._log.error("embedded database does not start", fault=str(error))


class TerminalDesk:
    """What the gateway hands messages on to (`processing.gateways.iso8583.Handlers`)."""

    def __init__(
        self,
        engine: Engine,
        settlement: TerminalSettlement,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._engine = engine
        self._settlement = settlement
        self._clock = clock
        self._log = log

    async def authorize(self, request: Request, first_right: int) -> Answer:
        """Decide a transaction."""
        return await self._engine.authorize(request, first_right)

    async def settle(self, totals: Totals) -> TotalsAnswer:
        """Compare a terminal's totals with the centre's."""
        try:
            return await self._settlement.settle(totals, self._clock.utc_ms())
        except DatabaseError as error:
            self._log.error("totals not compared", fault=str(error))
            return TotalsAnswer(outcome=Outcome.TRY_LATER, settlement=Settlement.NOT_COMPARED)

    def network(self, message: Network) -> NetworkAnswer:
        """Answer sign-on, sign-off, cut-over and echo; a key is changed by enrolling anew."""
        offered = message.code is not NetworkCode.KEY_CHANGE
        return NetworkAnswer(
            outcome=Outcome.APPROVED if offered else Outcome.NOT_SUPPORTED,
            centre_time_ms=self._clock.utc_ms(),
            posting_date=self._clock.local_date(),
        )


async def _probe_database(pool: DatabasePool) -> ProbeResult:
    async with pool.connection() as connection:
        await check_durability(connection)
        lanes = await lanes_held(connection)
    return ProbeResult(status=ProbeStatus.OK, detail=f"durable, {lanes} lanes")


async def _probe_hsm(hsm: AsyncHsmClient) -> ProbeResult:
    await hsm.ping()
    return ProbeResult(status=ProbeStatus.OK)


def _port_of(runner: web.AppRunner) -> int:
    return int(runner.addresses[0][1])


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
