"""An issuing office for tests: a served centre, a key service process, cards and their drawer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from aiohttp import web
from structlog.testing import capture_logs

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.transport.inprocess import InProcessTransport
from card_personalization.station.card_keys import ServiceKeys
from card_personalization.station.centre import CentreClient
from card_personalization.station.issuing import Station
from card_personalization.station.journal import Journal
from card_personalization.station.lot import Lot
from card_personalization.station.orders import WalkIn
from card_personalization.station.steps import Step
from hsm_stub.client.client import HsmClient
from processing.cards.issuing import Issuing
from processing.cards.passport import Passports
from processing.cards.report_check import IssuingAuthority
from processing.cards.stations import new_token, token_sha256
from processing.cards.store import CardStore
from processing.gateways.http import HttpParts, http_application
from processing.kernel.clock import SystemClock
from processing.kernel.database import open_pool
from processing.kernel.metrics import new_registry, page_of
from processing.kernel.roles import Role
from processing.wire.api import OrderRequest
from processing.wire.statement import Domain
from tests.cards.population import populate
from tests.plugins.postgres import Database
from tests.plugins.stop_lists import signer_of
from tests.station.rig import Letters

STATION = "office-1"


class ServedCentre:
    """A centre on a port of its own, in a thread of its own, because the station blocks."""

    def __init__(self, database: Database, address: str, token: str, hsm: HsmClient) -> None:
        self.database = database
        self.address = address
        self.token = token
        self.hsm = hsm

    def client(self) -> CentreClient:
        """Give a station's client that does not wait between its attempts."""
        return CentreClient(self.address, self.token, pause=lambda _: None)

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Look into the database."""

        async def fetch() -> list[tuple[object, ...]]:
            async with self.database.connect() as connection:
                return [tuple(row.values()) for row in await connection.fetch(query, *values)]

        return asyncio.run(fetch())

    def order_states(self) -> list[int]:
        """Give the states of all orders: 1 ordered, 2 issued, 3 given up."""
        return [int(str(state)) for (state,) in self.rows("SELECT state FROM cards.card_order")]

    def card_count(self) -> int:
        """Give the number of cards that count, with or without authorities."""
        rows = self.rows(
            """
            SELECT card_id FROM cards.card UNION SELECT card_id FROM rights.card_authority
            """
        )
        return len(rows)


@contextmanager
def served_centre(database: Database, hsm: HsmClient) -> Iterator[ServedCentre]:
    """Serve a populated database with one station."""
    token = new_token(STATION)
    asyncio.run(_prepare(database, token))
    authority = IssuingAuthority(hsm.public_keys().issuing_certificates)
    started: list[str] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        pool = await open_pool(database.dsn(Role.ISSUING), Role.ISSUING, "test")
        clock = SystemClock("Asia/Yekaterinburg")
        passports = Passports(pool, signer_of(Domain.SOCIAL_PASSPORT), clock)
        issuing = Issuing(CardStore(pool), authority, passports, clock)
        measurements = page_of(new_registry())
        app = http_application(HttpParts(measurements=measurements, probes={}, issuing=issuing))
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        started.append(f"http://{host}:{port}")
        ready.set()
        await stop.wait()
        await runner.cleanup()
        await pool.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        # The centre shares the process here: its log must not mix with a command's output.
        with capture_logs():
            yield ServedCentre(database, started[0], token, hsm)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


async def _prepare(database: Database, token: str) -> None:
    await populate(database)
    async with database.connect(Role.OPERATOR) as connection:
        await connection.execute(
            "SELECT cards.add_station($1, $2, FALSE)", STATION, token_sha256(token)
        )


def client_of(card: SoftCard) -> PivClient:
    """Give a client of a software card in this process."""
    return PivClient(open_channel(InProcessTransport(card)))


def station_of(
    centre: ServedCentre,
    client: CentreClient,
    folder: Path,
    letters: Letters,
    lot: Lot | None = None,
) -> Station:
    """Give a station at work, with a journal in this folder."""
    keys = ServiceKeys(centre.hsm)
    return Station(Journal.open(folder), keys, lot or Lot(), letters, client)


def walk_in(client: CentreClient, citizen_id: UUID, *, replace: bool = False) -> WalkIn:
    """Give the order of one citizen who stands there."""
    return WalkIn(client, OrderRequest(citizen_id=citizen_id, replace=replace))


def unwatched(_: Step) -> None:
    """Watch no progress."""


def read_text(path: Path) -> str:
    """Read a file that a command wrote."""
    return path.read_text(encoding="utf-8")
