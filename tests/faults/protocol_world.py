"""A centre that a state machine may drive step by step, and a fresh little town for each history.

The centre is the real one, on a port over a real database, with a clock that stands until it is
moved. A history gets citizens, cards and terminals of its own, so nothing has to be undone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import Final, Self, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from hsm_stub.key_material import KeyMaterial
from processing.kernel.bucket import bucket_of
from processing.kernel.clock import ManualClock
from processing.kernel.roles import Role
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import CentreMessage, Network, Totals
from processing.wire.transaction import Evidence, Request
from tests.authorization.audit import audit
from tests.faults.protocol_model import Allowance, Item, Model, Service
from tests.plugins.line import Line
from tests.plugins.live_centre import LiveCentre, Port
from tests.plugins.postgres import Database
from tests.plugins.targets import Databases
from tests.plugins.town import REGION, ZONE, Citizen, _point, add_shop, build_town, citizen

GIVEN = TypeVar("GIVEN")

BEGIN: Final = datetime(2026, 3, 30, 9, 0, tzinfo=UTC)
"""Noon in Moscow, two days before the month ends: every history begins here."""

RESERVE_MINUTES: Final = 60
LANE_OF_EXPIRIES: Final = 1_000
VALID_FROM: Final = date(2026, 1, 1)
VALID_TO: Final = date(2027, 12, 31)

SERVICES: Final = {
    ("MED", 1): Service(percents={"FREE": 100, "HALF": 50}, reserve_minutes=RESERVE_MINUTES),
    ("PART", 1): Service(percents={"FREE": 100, "HALF": 50}, partly=True),
    ("STRICT", 1): Service(percents={"FREE": 100}, evidence=Evidence.PIN),
    ("OLD", 1): Service(percents={"FREE": 100}, valid_to=date(2021, 1, 3)),
    ("AWAY", 1): Service(percents={"FREE": 100}, here=False),
}
"""The services of tests/plugins/town.py as this module extends them; grace is in `valid_to`."""

ITEMS: Final = {
    "PILL": Item("PILL"),
    "SYRUP": Item("SYRUP"),
    "SALVE": Item("SYRUP", cap_kopecks=3_000),
}

_EXTEND: Final = """
    INSERT INTO regulations.measure VALUES ('HALF', 'Половина', 'Half', 'regional');
    INSERT INTO regulations.service (
        service, version, name_ru, name_en, consumes, shortage, evidence, valid_from, valid_to
    ) VALUES ('PART', 1, 'Частично', 'In part', 1, 2, 1, '2020-01-01', '2039-12-31');
    INSERT INTO regulations.price_rule VALUES
        ('MED', 1, 'HALF', 50, TRUE, 'T-2'), ('PART', 1, 'HALF', 50, TRUE, 'T-2'),
        ('PART', 1, 'FREE', 100, FALSE, 'T-1');
    INSERT INTO regulations.item VALUES
        ('SALVE', 'SYRUP', 796, 0, 3000, 'Мазь', 'Salve');
    UPDATE regulations.service SET reserve_minutes = 60 WHERE service = 'MED';
"""


class Town(msgspec.Struct, frozen=True):
    """One history's citizens, cards and terminals, and the model that knows them.

    `cards` are Maria's own, her second one, and Boris's; Boris may not act for Maria. `stranger`
    has a card that nobody registered.
    """

    number: int
    shops: tuple[str, str]
    cards: tuple[Citizen, Citizen, Citizen]
    stranger: Citizen
    model: Model

    @property
    def maria(self) -> bytes:
        """The rights holder of the first two cards."""
        return self.cards[0].holder_id

    @property
    def boris(self) -> bytes:
        """The rights holder of the third card."""
        return self.cards[2].holder_id

    def holder_of(self, request: Request) -> bytes:
        """Return the rights holder; an inquiry names none, so it is the card's own."""
        if any(request.holder_id):
            return request.holder_id
        return next(one.holder_id for one in self.cards if one.card_id == request.card_id)


class ProtocolCentre:
    """The centre, its clock and its terminals' lines, for code that is not asynchronous."""

    def __init__(self, database: Database, material: KeyMaterial) -> None:
        self.clock = ManualClock(ZONE, _ms(BEGIN))
        self.restarts = 0
        self._database = database
        self._material = material
        self._runner = asyncio.Runner()
        self._rooms = contextlib.AsyncExitStack()
        self._lines: dict[str, Line] = {}
        self._towns = 0
        self._block = 0

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self.run(self._build())
        self.run(self._serve())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.run(self._stop())
        self._runner.close()

    def run(self, work: Coroutine[None, None, GIVEN]) -> GIVEN:
        """Have the centre's loop do something, with a limit on how long it may take."""
        return self._runner.run(_within(work))

    def restart(self) -> None:
        """Stop the worker and start another: it knows nothing but what the database holds."""
        self.restarts += 1
        self.run(self._stop())
        self.run(self._serve())

    def set_time(self, moment: datetime) -> None:
        """Put the centre's clock."""
        self.clock.set_utc_ms(_ms(moment))

    def new_town(self, granted: tuple[int, int, int, int]) -> Town:
        """Make citizens, cards and terminals that no history has met, at the beginning of time.

        `granted`: Maria's PILL in full, PILL by half each month, SYRUP by half each day, and
        Boris's PILL in full.
        """
        self._towns += 1
        self.set_time(BEGIN)
        return self.run(self._new_town(self._towns, granted))

    def ask(
        self, shop: str, content: Request | Totals | Network, mac: Mac | None = None
    ) -> CentreMessage:
        """Send a message in the name of a terminal and return the answer."""
        return self.run(self._ask(shop, content, mac))

    def counters(self, town: Town) -> dict[tuple[UUID, date], int]:
        """Return what the town's counters show; those at nought are left out."""
        ids = [one.allowance_id for one in town.model.allowances]
        rows = self.run(
            self._connection.fetch(
                "SELECT allowance_id, period_start, used FROM rights.counter "
                "WHERE bucket = ANY ($1::smallint[]) AND allowance_id = ANY ($2::uuid[]) "
                "AND used <> 0",
                list({bucket_of(one.holder_id) for one in town.model.allowances}),
                ids,
            )
        )
        return {(UUID(bytes=row[0].bytes), row[1]): row[2] for row in rows}

    def set_card(self, who: Citizen, state: int) -> None:
        """Activate (1) or block (2) a card."""
        self.run(
            self._connection.execute(
                "SELECT cards.set_state($1, $2::smallint)", UUID(bytes=who.card_id), state
            )
        )

    def set_terminal(self, shop: str, state: int) -> None:
        """Activate (1) or block (2) a terminal."""
        self.run(
            self._connection.execute(
                "UPDATE terminals.terminal SET state = $2 WHERE terminal_id = $1", shop, state
            )
        )

    def expire(self) -> None:
        """End every reservation whose time is over, as the centre does once a minute."""
        self.run(self._expire())

    def findings(self) -> list[str]:
        """Audit everything that all histories left."""
        return self.run(audit(self._connection))

    async def _build(self) -> None:
        self._connection = await asyncpg.connect(self._database.superuser_dsn)
        await build_town(self._connection, citizens=0)
        await self._connection.execute(_EXTEND)
        await self._connection.execute(
            "SELECT journal.ensure_partitions($1::date, $2::date)",
            BEGIN.date() - timedelta(days=31),
            BEGIN.date() + timedelta(days=62),
        )

    async def _expire(self) -> None:
        async with self._connection.transaction():
            await self._connection.execute(f"SET LOCAL ROLE {Role.PROCESSING.value}")
            at = datetime.fromtimestamp(self.clock.utc_ms() / 1000, UTC)
            while await self._connection.fetchval(
                "SELECT engine.expire($1::smallint, $2, $3, $4, 256)",
                LANE_OF_EXPIRIES,
                self._block + 1,
                at,
                self.clock.local_date(),
            ):
                self._block += 1

    async def _serve(self) -> None:
        centre = LiveCentre(Databases({1: self._database}), self._material, Port(clock=self.clock))
        self._centre = await self._rooms.enter_async_context(centre.serving())

    async def _stop(self) -> None:
        self._lines.clear()
        await self._rooms.aclose()

    async def _ask(
        self, shop: str, content: Request | Totals | Network, mac: Mac | None
    ) -> CentreMessage:
        line = self._lines.get(shop)
        if line is None:
            line = self._lines[shop] = await self._centre.line(shop)
        return await line.ask_raw(line.message(content, mac))

    async def _new_town(self, number: int, granted: tuple[int, int, int, int]) -> Town:
        first = 10 * number
        maria, second, boris, stranger = (citizen(first + place) for place in range(4))
        second = msgspec.structs.replace(second, holder_id=maria.holder_id)
        cards = (maria, second, boris)
        shops = (f"P{number:06d}A", f"P{number:06d}B")
        allowances = [
            _allowance(first, maria, "PILL", "FREE", granted[0], "all", 10),
            _allowance(first + 1, maria, "PILL", "HALF", granted[1], "month", 20),
            _allowance(first + 2, maria, "SYRUP", "HALF", granted[2], "day", 10),
            _allowance(first + 3, boris, "PILL", "FREE", granted[3], "all", 10),
        ]
        for shop in shops:
            await add_shop(self._connection, shop)
            await self._connection.execute(
                "INSERT INTO terminals.terminal_service VALUES ($1, 'PART')", shop
            )
        for card in cards:
            await self._register(card)
        for one in allowances:
            await self._grant(one)
        model = Model(
            SERVICES,
            ITEMS,
            allowances,
            {(card.card_id, card.holder_id) for card in cards},
            {card.card_id: card.holder_id for card in cards},
        )
        return Town(number, shops, cards, stranger, model)

    async def _register(self, card: Citizen) -> None:
        await self._connection.execute(
            "INSERT INTO cards.card VALUES ($1, $2, $3, $4, 1, $5, $6, $7, 'tap', 'pin', $8)",
            UUID(bytes=card.card_id),
            f"964390{card.number:013d}",
            UUID(bytes=card.holder_id),
            REGION,
            VALID_TO,
            _point(card.tap),
            _point(card.pin),
            BEGIN,
        )
        await self._connection.execute(
            "INSERT INTO rights.card_authority VALUES ($1, $2, $3, $4, NULL, $5, $6, 1, $6)",
            bucket_of(card.holder_id),
            UUID(bytes=card.holder_id),
            UUID(bytes=card.card_id),
            REGION,
            VALID_FROM,
            VALID_TO,
        )

    async def _grant(self, one: Allowance) -> None:
        await self._connection.execute(
            "INSERT INTO rights.allowance VALUES "
            "($1, $2, $3, $3, $4, 'VETERAN', 'federal', $5, 796, 0, $6, $7, $8, $9, $10)",
            bucket_of(one.holder_id),
            UUID(bytes=one.holder_id),
            one.allowance_id,
            one.measure,
            one.item_class,
            one.granted,
            {"all": 0, "day": 1, "month": 3}[one.period],
            one.valid_from,
            VALID_TO,
            one.priority,
        )


async def _within(work: Coroutine[None, None, GIVEN]) -> GIVEN:
    async with asyncio.timeout(STEP_SECONDS_MAX):
        return await work


STEP_SECONDS_MAX: Final = 60.0
"""No step waits longer, however busy the machine is."""


def _allowance(
    number: int, who: Citizen, item_class: str, measure: str, granted: int, period: str, order: int
) -> Allowance:
    return Allowance(
        allowance_id=UUID(int=0xB000_0000 + number),
        holder_id=who.holder_id,
        item_class=item_class,
        measure=measure,
        granted=granted,
        period=period,
        priority=order,
        valid_from=VALID_FROM,
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
