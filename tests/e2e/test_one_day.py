"""One day in a small region, every amount against figures worked out by hand.

A real centre and a real key service run as processes; the station issues cards at a PC/SC reader
through the centre's API; terminals sell at a PC/SC reader. The figures stand in tests/e2e/day.py.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.readers.virtual import VirtualReaders
from card_personalization.station.card_keys import ServiceKeys
from card_personalization.station.centre import CentreClient
from card_personalization.station.issuing import Outcome as Issue
from card_personalization.station.issuing import Station
from card_personalization.station.journal import Journal
from card_personalization.station.lot import Lot
from card_personalization.station.orders import WalkIn
from card_personalization.station.pin_letter import PinLetter
from hsm_stub.client.async_client import AsyncHsmClient
from hsm_stub.client.client import HsmClient
from processing.cards.stations import new_token, token_sha256
from processing.kernel.clock import SystemClock
from processing.kernel.config import ListenAddress
from processing.kernel.database import REPORTING_LIMITS
from processing.kernel.roles import Role
from processing.reconciliation.export import FileOrder, export_day
from processing.reconciliation.model import Amounts, Balance, DayOrder, DayReport
from processing.reconciliation.whole_file import whole_file
from processing.region.cast import load_cast
from processing.region.generate import RegionOrder, generate, load_sources
from processing.region.store import load_region
from processing.terminals.copies import terminal_store
from processing.terminals.enrolment import parameters_of
from processing.wire.api import OrderRequest
from processing.wire.iso8583.messages import Settlement
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import FramingName, ParameterFile, ProfileName
from processing.wire.receipt import Receipt
from processing.wire.receipt_file import ReceiptFile
from processing.wire.transaction import Answer, Evidence, Kind, Line, Request
from terminal_sim.card import PresentedCard, reader_card
from terminal_sim.desk import Desk, RungUp, now_ms, open_till, ring_up
from terminal_sim.order import parse_order
from terminal_sim.results import Result, Sale
from terminal_sim.till import Till
from terminal_sim.visits import finish
from tests.authorization.audit import audit
from tests.e2e.day import DAY, NET, SOLD, TAKEN_BACK, TOTALS, Act, Deed
from tests.plugins.centre import Programs
from tests.plugins.targets import Databases

pytestmark = [pytest.mark.pcsc, pytest.mark.timeout(300)]

ZONE: Final = "Asia/Yekaterinburg"
STATION: Final = "office-1"
KINDS: Final = {Act.RESERVE: Kind.RESERVE, Act.BEGIN: Kind.VISIT_START}
PEOPLE: Final = ("sokolova", "irina", "orlov", "lebedeva", "gromova")


class Office:
    """A personalization station and a drawer with the cards it issued."""

    def __init__(
        self, folder: Path, centre: CentreClient, hsm: HsmClient, readers: VirtualReaders
    ) -> None:
        self._folder = folder
        self._centre = centre
        self._hsm = hsm
        self._readers = readers
        self._cards: dict[str, SoftCard] = {}
        self._pins: dict[str, str] = {}

    def issue(self, who: str) -> None:
        """Issue a card to one of the cast, at a reader."""
        letters: list[PinLetter] = []
        self._cards[who] = SoftCard()
        request = OrderRequest(snils=load_cast().member(who).snils)
        with (
            Journal.open(self._folder) as journal,
            self.at_reader(who) as reader,
            reader_card(reader) as transport,
        ):
            station = Station(
                journal,
                ServiceKeys(self._hsm),
                Lot(),
                lambda letter, _: letters.append(letter),
                self._centre,
            )
            card = PivClient(open_channel(transport))
            served = station.serve(card, WalkIn(self._centre, request), lambda _: None)
        assert served.outcome is Issue.ISSUED, served.text("en")
        self._pins[who] = letters[0].pin

    @contextmanager
    def at_reader(self, who: str) -> Iterator[str]:
        """Put somebody's card in a reader; gives the reader's name."""
        reader = self._readers.insert_card(self._cards[who])
        try:
            yield reader
        finally:
            self._readers.remove(reader)

    def pin(self, who: str) -> str:
        """Return the PIN from somebody's letter."""
        return self._pins[who]


class Town:
    """The centre's side of the day, and the terminals' parameter files."""

    def __init__(self, databases: Databases, programs: Programs, folder: Path) -> None:
        self.databases = databases
        self.programs = programs
        self.folder = folder
        self.token = new_token(STATION)
        self.day = SystemClock(ZONE).local_date()

    async def create(self) -> None:
        """Write the region and register the station."""
        order = RegionOrder(citizens=len(load_cast().members), seed=1, today=self.day)
        async with self.databases.pools(Role.OWNER, REPORTING_LIMITS) as pools:
            await load_region(pools, generate(order, load_sources()), lambda _: None)
        async with self.databases.home.connect(Role.OPERATOR) as connection:
            await connection.execute(
                "SELECT cards.add_station($1, $2, FALSE)", STATION, token_sha256(self.token)
            )

    async def enrol(self, port: int) -> None:
        """Write the parameter file of each terminal of the day."""
        async with (
            self.databases.pools(Role.OPERATOR) as pools,
            AsyncHsmClient(self.programs.hsm_address) as hsm,
        ):
            store = terminal_store(pools)
            for name in TOTALS:
                terminal = await store.terminal(name)
                assert terminal is not None
                parameters = await parameters_of(
                    terminal,
                    store,
                    hsm,
                    ListenAddress("127.0.0.1", port),
                    self.day,
                    framing=FramingName.LENGTH_2,
                    profile=ProfileName.BINARY,
                )
                self.file(name).write_bytes(parameters.encode())

    def file(self, terminal: str) -> Path:
        """Return where a terminal's parameter file is."""
        return self.folder / f"{terminal}.json"

    async def export(self, out: Path) -> DayReport:
        """Write the day's CSV as finance does."""
        async with self.databases.pools(Role.FINANCE, REPORTING_LIMITS) as pools:
            with whole_file(out) as place:
                report, _ = await export_day(pools, DayOrder(self.day), FileOrder(out), place)
                place.keep()
        return report

    async def audited(self) -> list[str]:
        """Return what does not hold in the databases."""
        found = await self.databases.everywhere(audit)
        return [finding for one in found for finding in one]


def play(deed: Deed, till: Till, office: Office) -> Result:
    """Do one deed at the terminal."""
    asked = [entry.request for entry in till.store.state.decided.values()]
    match deed.act:
        case Act.TAKE_BACK_FIRST:
            return till.reverse(next(one for one in asked if one.lines).key)
        case Act.TAKE_BACK_LAST:
            return till.reverse(asked[-1].key)
        case Act.COMPLETE:
            (reserved,) = till.reservations()
            return till.complete(reserved.request.key, deed.order)
        case _:
            return play_with_card(deed, till, office)


def play_with_card(deed: Deed, till: Till, office: Office) -> Result:
    """Do what needs the card."""
    with office.at_reader(deed.who) as reader, reader_card(reader) as transport:
        parameters = till.terminal.parameters
        card = PresentedCard.read(transport, parameters, now_ms())
        if deed.act is Act.BRING_BACK:
            sold = [
                entry.request
                for entry in till.store.state.decided.values()
                if entry.request.kind in (Kind.SALE, Kind.COMPLETION)
                and entry.answer is not None
                and entry.answer.outcome.approved
            ]
            return till.give_back(card, sold[-1].key, deed.order)
        if deed.act is Act.FINISH:
            return finish(till, card, None, deed.order)
        lines = parse_order(deed.order, parameters)
        kind = KINDS.get(deed.act, Kind.SALE)
        if deed.outcome is Outcome.REGULATION_OUTDATED:
            # The till would not ring this up; here the centre says so itself.
            return till.sell(card, refused_at_the_till(deed, lines, kind), str)
        wanted = RungUp(service=deed.service, lines=lines, kind=kind)
        result = ring_up(till, card, wanted, lambda: office.pin(deed.who))
        if isinstance(result, Result):
            return result
        # The inquiry told the cashier that there is no right; here the centre says so itself.
        return till.sell(card, refused_at_the_till(deed, lines, kind), str)


def refused_at_the_till(deed: Deed, lines: tuple[Line, ...], kind: Kind) -> Sale:
    """Return what an honest till would not send."""
    holder_id = load_cast().member(deed.who).citizen_id.bytes
    return Sale(holder_id=holder_id, service=deed.service, version=1, lines=lines, kind=kind)


def check(deed: Deed, result: Result, parameters: ParameterFile) -> None:
    """Hold outcome, amounts to the kopeck, and receipt against the table."""
    answer = result.answer
    assert answer is not None, result.fault
    assert result.decided, (deed, result.judgement)
    assert answer.outcome is deed.outcome, (deed, answer.facts)
    decision = answer.decision
    assert decision is not None
    if deed.act not in TAKEN_BACK:
        assert tuple(line.covered_kopecks for line in decision.lines) == deed.covered, deed
        assert tuple(line.paid_kopecks for line in decision.lines) == deed.paid, deed
        gross = sum(line.gross_kopecks for line in result.request.lines)
        if deed.outcome.approved:
            assert gross == sum(deed.covered) + sum(deed.paid), deed
    if deed.act in (Act.SELL, Act.RESERVE, Act.BEGIN):
        expected = Evidence.PIN if deed.service == "CERTIFICATE" else Evidence.TAP
        assert result.request.evidence is expected
    check_receipt(result.request, answer, *parameters.receipt_keys)


def check_receipt(request: Request, answer: Answer, *public_keys: bytes) -> None:
    """Verify a receipt as anyone may, also from its file; another amount must break it."""
    assert answer.decision is not None
    Receipt.decode(answer.receipt).verify(answer.decision, *public_keys)
    items = tuple(line.item for line in request.lines)
    file = ReceiptFile.of(request.key, items, answer.decision, answer.receipt)
    ReceiptFile.decode(file.encode()).verify(*public_keys)


def csv_sums(path: Path) -> Amounts:
    """Add the day's file up, as a stranger with a spreadsheet would."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Amounts(
        *(sum(int(row[f"{name}_kopecks"]) for row in rows) for name in ("gross", "covered", "paid"))
    )


def test_one_day_to_the_kopeck(
    programs: Programs, databases: Databases, readers: VirtualReaders, tmp_path: Path
) -> None:
    town = Town(databases, programs, tmp_path)
    asyncio.run(town.create())
    programs.start_hsm()
    centre, port = programs.start_centre(**databases.settings(tmp_path), SPK_TIME_ZONE=ZONE)
    address = f"http://127.0.0.1:{centre.wait_for('serving http')['port']}"
    asyncio.run(town.enrol(port))
    with (
        CentreClient(address, town.token) as client,
        HsmClient(programs.hsm_address) as hsm,
    ):
        office = Office(tmp_path / "station", client, hsm, readers)
        for who in PEOPLE:
            office.issue(who)

    for deed in DAY:
        with open_till(Desk(params=town.file(deed.terminal))) as till:
            check(deed, play(deed, till, office), till.terminal.parameters)

    for terminal, expected in TOTALS.items():
        with open_till(Desk(params=town.file(terminal))) as till:
            compared = till.totals(town.day)
        assert compared.mine == expected, terminal
        assert compared.answer.totals == expected, terminal
        assert compared.answer.settlement is Settlement.IN_BALANCE, terminal

    report = asyncio.run(town.export(tmp_path / "day.csv"))
    assert report.amounts == NET
    assert csv_sums(tmp_path / "day.csv") == NET
    balances = {one.terminal_id: one.balance for one in report.terminals}
    assert balances == dict.fromkeys(TOTALS, Balance.IN_BALANCE)
    assert asyncio.run(town.audited()) == []
    assert centre.end() == 0


def test_the_tables_agree_with_each_other() -> None:
    """The figures were worked out line by line and in sum; both ways must meet."""
    for terminal, totals in TOTALS.items():
        deeds = [
            deed
            for deed in DAY
            if deed.terminal == terminal and deed.act in SOLD and deed.outcome.approved
        ]
        assert len(deeds) == totals.approved_count
        assert sum(sum(deed.covered) for deed in deeds) == totals.covered_kopecks
        assert sum(sum(deed.paid) for deed in deeds) == totals.paid_kopecks
        assert totals.gross_kopecks == totals.covered_kopecks + totals.paid_kopecks
    net_covered = sum(
        totals.covered_kopecks - totals.reversed_covered_kopecks - totals.returned_covered_kopecks
        for totals in TOTALS.values()
    )
    assert net_covered == NET.covered_kopecks
    # Nothing had been paid for the sale that was taken back, nor for the return that was.
    paid_back = sum(sum(deed.paid) for deed in DAY if deed.act is Act.BRING_BACK)
    assert sum(totals.paid_kopecks for totals in TOTALS.values()) - paid_back == NET.paid_kopecks
    assert NET.gross_kopecks == NET.covered_kopecks + NET.paid_kopecks
