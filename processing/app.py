"""The centre's composition root: the only module that sees every room.

`spk centre run` reads the settings, finds the database and the key service, builds the rooms once
and hands each what it needs. It stops on SIGTERM or SIGINT: accepts nothing more, answers what it
accepted, then closes.

With `--workers 1` all of it is one process. With more, this process is the supervisor: it keeps
the database and its partitions, serves HTTP, accepts the terminals' connections and hands them to
the workers, each a process with an engine and a lane of the journal of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Annotated, Final

import cyclopts
import msgspec
from cyclopts import Parameter, validators
from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from hsm_stub.client.async_client import AsyncHsmClient, connect_async
from hsm_stub.client.errors import HsmError
from processing.authorization.batcher import BatchMetrics
from processing.authorization.engines import running_engines
from processing.authorization.expiry import ExpiryStore
from processing.authorization.model import Asker
from processing.authorization.targets import Decider
from processing.authorization.tasks import keep_expiring
from processing.cards.tasks import keep_expiring_cards, keep_issuing, keep_listing
from processing.gateways.http import Probe, probe_all
from processing.gateways.iso8583 import Gateway
from processing.gateways.port import GatewayLimits, GatewayMetrics
from processing.gateways.rate import TERMINAL_RATE_PER_SECOND
from processing.http_serving import Ground, serving_http, taking
from processing.journal.lane import Lane, lanes_held
from processing.kernel.clock import Clock, SystemClock
from processing.kernel.config import Settings, read_settings
from processing.kernel.daily import Daily, DailyWork
from processing.kernel.database import DatabasePool, check_durability, open_session
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    SpkError,
)
from processing.kernel.locate import start_embedded, uses_embedded
from processing.kernel.log import capture_standard_library, open_log
from processing.kernel.metrics import Measurements, exposition, new_registry
from processing.kernel.migrate import check_migrated
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root
from processing.kernel.target_pools import TargetPools, open_pools
from processing.kernel.targets import Target, TargetMap, target_dsn, target_map
from processing.reconciliation.targets import Settling, terminal_settlement
from processing.register.tasks import keep_delivering
from processing.terminals.copies import terminal_store
from processing.terminals.keys import TerminalKeys
from processing.terminals.network import TerminalNetwork
from processing.wire.api import ProbeResult, ProbeStatus
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    Settlement,
    Totals,
    TotalsAnswer,
)
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import FramingName, ProfileName
from processing.wire.transaction import Request
from processing.workers.handing import open_listeners
from processing.workers.link import WorkerLink
from processing.workers.measurements import SUPERVISOR, one_page
from processing.workers.supervisor import WORKERS_MAX, Supervisor, Worker, health_of

PARTITIONS_BEHIND_DAYS: Final = 31
PARTITIONS_AHEAD_DAYS: Final = 62
PARTITIONS_CHECK_SECONDS: Final = 6 * 3600
HSM_READY_TIMEOUT_MS: Final = 10_000
"""How long the centre waits for the key service when both are started together."""

COLLECT_AFTER_OBJECTS: Final = 50_000
"""How many more objects there must be before the garbage collector looks for cycles among them."""

DAILY_FILE: Final = "daily.json"
"""Beside the keys: on which day each daily work was last done."""

DATABASE_CHECK_SECONDS: Final = 2
"""How often the centre looks whether its embedded database still runs."""

app = cyclopts.App(name="centre", help="Run the processing centre.")


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `spk centre run` was told."""

    framing: FramingName
    profile: ProfileName
    limits: GatewayLimits


@app.command
def run(
    *,
    framing: Annotated[
        FramingName, Parameter(help="How frames are told apart.")
    ] = FramingName.LENGTH_2,
    profile: Annotated[
        ProfileName, Parameter(help="Binary fields as bytes, or as hex text.")
    ] = ProfileName.BINARY,
    idle_timeout: Annotated[
        int,
        Parameter(
            help="Seconds after which a silent terminal connection is closed.",
            validator=validators.Number(gte=1, lte=86_400),
        ),
    ] = 900,
    terminal_rate: Annotated[
        int,
        Parameter(
            help="Messages a second that one terminal may send to one worker; 0 for any number.",
            validator=validators.Number(gte=0, lte=100_000),
        ),
    ] = TERMINAL_RATE_PER_SECOND,
    workers: Annotated[
        int,
        Parameter(
            help="Processes that decide transactions; each can use one processor core.",
            validator=validators.Number(gte=1, lte=WORKERS_MAX),
        ),
    ] = 1,
) -> None:
    """Serve terminals (ISO 8583), stations and operators (HTTP) until SIGTERM or Ctrl-C.

    Settings come from the environment: SPK_HOME, SPK_DSN, SPK_HSM, SPK_ISO8583_LISTEN,
    SPK_HTTP_LISTEN, SPK_TIME_ZONE, SPK_DAILY_AT, SPK_LOG_LEVEL, SPK_LOG_FORMAT.
    """
    settings = read_settings(os.environ)
    log = open_log(settings.log_format, settings.log_level, sys.stderr)
    capture_standard_library(log, settings.log_level)
    targets = target_map(settings)
    start_embedded(settings, targets)
    limits = GatewayLimits(
        idle_timeout_ms=idle_timeout * 1000, terminal_rate_per_second=terminal_rate
    )
    options = RunOptions(framing=framing, profile=profile, limits=limits)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        if workers == 1:
            runner.run(Centre(settings, targets, log.bind(worker=1)).serve(options))
        else:
            runner.run(Centre(settings, targets, log).supervise(options, workers))


@app.command(show=False)
def worker(*, number: int, control: int, handed: int, options: str) -> None:
    """Serve what the supervisor hands over; only `spk centre run` starts this."""
    settings = read_settings(os.environ)
    log = open_log(settings.log_format, settings.log_level, sys.stderr).bind(worker=number)
    capture_standard_library(log, settings.log_level)
    targets = target_map(settings)
    told = msgspec.json.decode(options, type=RunOptions)
    link = WorkerLink(socket.socket(fileno=control), socket.socket(fileno=handed))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(Centre(settings, targets, log, f"spk centre worker {number}").work(told, link))


class Centre:
    """The rooms of one running process, built in `serve`, `supervise` or `work`."""

    def __init__(
        self,
        settings: Settings,
        targets: TargetMap,
        log: FilteringBoundLogger,
        name: str = "spk centre",
    ) -> None:
        self._name = name
        self._settings = settings
        self._targets = targets
        self._log = log
        self._clock: Clock = SystemClock(settings.time_zone)
        self._registry = new_registry()

    async def serve(self, options: RunOptions) -> None:
        """Serve until asked to stop; raises before it listens when something is missing."""
        stop = _asked_to_stop()
        async with contextlib.AsyncExitStack() as rooms:
            hsm, pools = await self._ground(rooms)
            engine = await rooms.enter_async_context(self._engines(pools, hsm))
            await rooms.enter_async_context(self._http(pools, hsm, {}, self._own_page))
            gateway = await rooms.enter_async_context(self._gateway(pools, hsm, engine, options))
            listen = self._settings.iso8583_listen
            with taking("SPK_ISO8583_LISTEN", listen):
                port = await gateway.listen(listen.host, listen.port)
            self._log.info("serving terminals", host=listen.host, port=port)
            _calm_collector()
            await self._keep_until(stop, pools)
        self._log.info("stopped")

    async def supervise(self, options: RunOptions, count: int) -> None:
        """As `serve`, with `count` worker processes that decide."""
        stop = _asked_to_stop()
        supervisor = Supervisor(count, _worker_command(options), self._log)
        async with contextlib.AsyncExitStack() as rooms:
            hsm, pools = await self._ground(rooms)
            listen = self._settings.iso8583_listen
            with taking("SPK_ISO8583_LISTEN", listen):
                listeners = await open_listeners(listen.host, listen.port)
            for listener in listeners:
                rooms.callback(listener.close)
            probes = {f"worker-{each.number}": _probe_worker(each) for each in supervisor.workers}
            page = _page_of_all(supervisor, self._registry)
            await rooms.enter_async_context(self._http(pools, hsm, probes, page))
            rooms.push_async_callback(supervisor.stop)
            await supervisor.start()
            supervisor.accept(listeners)
            port = listeners[0].getsockname()[1]
            self._log.info("serving terminals", host=listen.host, port=port, workers=count)
            await self._keep_until(stop, pools)
        self._log.info("stopped")

    async def work(self, options: RunOptions, link: WorkerLink) -> None:
        """Serve the connections that come over `link` until its other end says so or is gone."""
        async with contextlib.AsyncExitStack() as rooms:
            hsm = await rooms.enter_async_context(connect_async(self._settings.hsm_address))
            pools = await rooms.enter_async_context(self._pools(Role.PROCESSING))
            engine = await rooms.enter_async_context(self._engines(pools, hsm))
            gateway = await rooms.enter_async_context(self._gateway(pools, hsm, engine, options))

            async def look() -> tuple[dict[str, ProbeResult], str]:
                return await probe_all(_probes(pools, hsm)), exposition(self._registry)[0].decode()

            _calm_collector()
            loop = asyncio.get_running_loop()
            serving = loop.create_task(link.serve(gateway.adopt, look))
            # Ctrl-C reaches every process of a terminal; the supervisor says what it means.
            loop.add_signal_handler(signal.SIGINT, lambda: None)
            loop.add_signal_handler(signal.SIGTERM, serving.cancel)
            reason = "a signal"
            with contextlib.suppress(asyncio.CancelledError):
                reason = await serving
            self._log.info("stopping", reason=reason)
        self._log.info("stopped")

    async def _ground(self, rooms: contextlib.AsyncExitStack) -> tuple[AsyncHsmClient, TargetPools]:
        """Open what everything else stands on; raises when it is not as it must be."""
        hsm = await rooms.enter_async_context(connect_async(self._settings.hsm_address))
        await hsm.wait_ready(HSM_READY_TIMEOUT_MS)
        pools = await rooms.enter_async_context(self._pools(Role.PROCESSING))
        await self._check_schema(pools)
        return hsm, pools

    async def _keep_until(self, stop: asyncio.Event, pools: TargetPools) -> None:
        """Look after partitions, reservations and embedded database until asked to stop."""
        loop = asyncio.get_running_loop()
        tasks = [
            loop.create_task(self._keep_partitions(pools)),
            loop.create_task(keep_issuing(_command("cards", "issue-stop-list"), self._log)),
            loop.create_task(keep_listing(_command("cards", "issue-crl"), self._log)),
            loop.create_task(keep_expiring_cards(_command("cards", "expire"), self._log)),
        ]
        if (at := self._settings.daily_at) is not None:
            done = self._settings.home / DAILY_FILE
            daily = Daily(daily_works(), at, done, self._clock, self._log)
            tasks.append(loop.create_task(daily.keep()))
        if len(self._targets) > 1:
            telling = keep_delivering(_command("register", "deliver"), self._log)
            tasks.append(loop.create_task(telling))
        lanes = {t.number: self._new_lane("expiry lane", t) for t in self._targets.targets}
        for number, lane in lanes.items():
            expiry = ExpiryStore(pools.pools[number])
            tasks.append(loop.create_task(keep_expiring(expiry, lane, self._clock, self._log)))
        if uses_embedded(self._targets):
            tasks.append(loop.create_task(self._keep_database()))
        await stop.wait()
        self._log.info("stopping", reason="asked to")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in lanes.values():
            await lane.release()

    def _new_lane(self, use: str, target: Target) -> Lane:
        dsn = target_dsn(self._settings, target, Role.PROCESSING)
        name = f"{self._name} {use}"
        return Lane(lambda: open_session(dsn, Role.PROCESSING, name), target.first_lane)

    async def _own_page(self) -> tuple[bytes, str]:
        return one_page({"1": exposition(self._registry)[0].decode()})

    def _pools(self, role: Role) -> AbstractAsyncContextManager[TargetPools]:
        # No session is ever changed here. Of several databases one may be away.
        return open_pools(
            self._settings,
            self._targets,
            role,
            self._name,
            unchanging=True,
            patient=len(self._targets) > 1,
        )

    async def _check_schema(self, pools: TargetPools) -> None:
        """Raise unless every database that answers is as it must be, and one does."""
        folder = read_sql_folder(sql_root())
        away: list[DatabaseError] = []
        for number, pool in pools.pools.items():
            try:
                async with pool.connection() as connection:
                    await check_migrated(connection, folder)
                await self._make_partitions(number, pool)
            except DatabaseUnavailableError as error:
                away.append(error)
                self._log.error("database away", target=number, fault=str(error))
        if len(away) == len(pools):
            raise away[0]

    def _engines(
        self, pools: TargetPools, hsm: AsyncHsmClient
    ) -> AbstractAsyncContextManager[Decider]:
        new_lane = functools.partial(self._new_lane, "lane")
        metrics = BatchMetrics(self._registry)
        return running_engines(pools, new_lane, hsm, self._clock, self._log, metrics)

    @contextlib.asynccontextmanager
    async def _gateway(
        self, pools: TargetPools, hsm: AsyncHsmClient, engine: Decider, options: RunOptions
    ) -> AsyncIterator[Gateway]:
        terminals = terminal_store(pools)
        network = TerminalNetwork(terminals, hsm, self._clock)
        settlement = terminal_settlement(pools)
        gateway = Gateway(
            framing=options.framing.framing,
            profile=options.profile.profile,
            keys=TerminalKeys(terminals, hsm),
            handlers=TerminalDesk(engine, settlement, network, self._clock, self._log),
            log=self._log,
            metrics=GatewayMetrics(self._registry),
            limits=options.limits,
        )
        try:
            yield gateway
        finally:
            await gateway.close()

    def _http(
        self,
        pools: TargetPools,
        hsm: AsyncHsmClient,
        probes: Mapping[str, Probe],
        measurements: Measurements,
    ) -> AbstractAsyncContextManager[None]:
        ground = Ground(self._settings, pools, hsm, self._pools, self._clock, self._log)
        return serving_http(ground, {**_probes(pools, hsm), **probes}, measurements)

    async def _make_partitions(self, number: int, pool: DatabasePool) -> None:
        today = self._clock.local_date()
        async with pool.connection() as connection:
            made = await connection.fetchval(
                "SELECT journal.ensure_partitions($1, $2)",
                today - timedelta(days=PARTITIONS_BEHIND_DAYS),
                today + timedelta(days=PARTITIONS_AHEAD_DAYS),
            )
        if made:
            self._log.info("partitions made", target=number, names=made)

    async def _keep_partitions(self, pools: TargetPools) -> None:
        while True:
            await asyncio.sleep(PARTITIONS_CHECK_SECONDS)
            for number, pool in pools.pools.items():
                try:
                    await self._make_partitions(number, pool)
                except DatabaseError as error:
                    # The default partition takes what comes meanwhile.
                    self._log.error("partitions not made", target=number, fault=str(error))

    async def _keep_database(self) -> None:
        """Start the embedded server again when it died; what waits is then tried again."""
        embedded = EmbeddedPostgres(self._settings.home)
        while True:
            await asyncio.sleep(DATABASE_CHECK_SECONDS)
            try:
                if not await asyncio.to_thread(embedded.running):
                    await asyncio.to_thread(embedded.start)
            except SpkError as error:
                self._log.error("embedded database does not start", fault=str(error))


class TerminalDesk:
    """What the gateway hands messages on to (`processing.gateways.iso8583.Handlers`)."""

    def __init__(
        self,
        engine: Decider,
        settlement: Settling,
        network: TerminalNetwork,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._engine = engine
        self._network = network
        self._settlement = settlement
        self._clock = clock
        self._log = log

    def authorize(self, request: Request, first_right: int, asker: Asker) -> None:
        """Decide a transaction; tell the asker, now or later."""
        self._engine.authorize(request, first_right, asker)

    async def settle(self, totals: Totals) -> TotalsAnswer:
        """Compare a terminal's totals with the centre's."""
        try:
            return await self._settlement.settle(totals, self._clock.utc_ms())
        except DatabaseError as error:
            self._log.error("totals not compared", fault=str(error))
            return TotalsAnswer(outcome=Outcome.TRY_LATER, settlement=Settlement.NOT_COMPARED)

    async def network(self, message: Network) -> NetworkAnswer:
        """Answer sign-on, sign-off, key change, cut-over and echo."""
        try:
            return await self._network.answer(message)
        except (DatabaseError, HsmError) as error:
            self._log.error("network message not answered", fault=str(error))
            return NetworkAnswer(outcome=Outcome.TRY_LATER, centre_time_ms=self._clock.utc_ms())


def _probes(pools: TargetPools, hsm: AsyncHsmClient) -> dict[str, Probe]:
    """Return a look at the key service and at each database."""
    databases: dict[str, Probe] = {
        "database" if len(pools) == 1 else f"database-{number}": functools.partial(
            _probe_database, pool
        )
        for number, pool in pools.pools.items()
    }
    return {**databases, "hsm": lambda: _probe_hsm(hsm)}


def _probe_worker(worker: Worker) -> Probe:
    async def probe() -> ProbeResult:
        return health_of(await worker.report())

    return probe


def _page_of_all(supervisor: Supervisor, registry: CollectorRegistry) -> Measurements:
    async def page() -> tuple[bytes, str]:
        reports = await supervisor.reports()
        told = {f"{number}": each.exposition for number, each in reports.items() if each}
        return one_page({SUPERVISOR: exposition(registry)[0].decode()} | told)

    return page


async def _probe_database(pool: DatabasePool) -> ProbeResult:
    async with pool.connection() as connection:
        await check_durability(connection)
        lanes = await lanes_held(connection)
    return ProbeResult(status=ProbeStatus.OK, detail=f"durable, {lanes} lanes")


async def _probe_hsm(hsm: AsyncHsmClient) -> ProbeResult:
    await hsm.ping()
    return ProbeResult(status=ProbeStatus.OK)


def _asked_to_stop() -> asyncio.Event:
    """Return what SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _worker_command(options: RunOptions) -> list[str]:
    """Return the command line of a worker, but for what differs from one to the next."""
    told = msgspec.json.encode(options).decode()
    return _command("centre", "worker", f"--options={told}")


def daily_works() -> list[DailyWork]:
    """Return what the centre does every day, in order: rules read what the register did."""
    return [DailyWork(room, _command(room, "daily")) for room in ("register", "eligibility")]


def _command(*words: str) -> list[str]:
    """Return the command line of `spk` with these words, whatever the path says."""
    program = "from processing.cli import main; main()"
    return [sys.executable, "-P", "-c", program, *words]


def _calm_collector() -> None:
    """Have the garbage collector leave alone what is there for good, and look less often.

    What a transaction makes is freed as soon as it is answered, without the collector's help.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
