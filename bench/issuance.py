"""What issuing a card costs the station, and how many times one reader's rate sixteen reach.

python -m bench.issuance [--cards 300] [--readers 16] [--profile]

In process: one thread makes card after card, key service included, its socket not; the software
card's own computing is measured at the card and taken off, orders and passports wait in memory.
Through PC/SC: the same against a real centre, PostgreSQL and key service, each a program of its
own; what reader and card took is taken off the time from the card's being put in to its counting.
With `--readers` slow cards (20 ms per APDU, 200 ms more per key operation) are made one alone, then
so many at once. The journal lies under TMPDIR, with every fsync.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Self, TypeVar
from uuid import UUID, uuid4

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.counters import Counters
from bench.rig import Rig, RigSize, sync_us
from card_personalization.chip.chaining import open_channel
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.delays import DelayedCard, Delays
from card_personalization.chip.softcard.state import factory_state
from card_personalization.chip.transport.contract import Transport
from card_personalization.chip.transport.inprocess import ApduCard
from card_personalization.station.card_keys import KeyService, ServiceKeys
from card_personalization.station.centre import CentreClient, read_token
from card_personalization.station.issuing import CentreDesk, Outcome, Station
from card_personalization.station.journal import Journal
from card_personalization.station.lot import Lot
from card_personalization.station.orders import OrderList, OrderSource
from card_personalization.station.pin_letter import PinLetter
from card_personalization.station.ports import Hopper, PcscPort, ReaderPort
from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client import commands as c
from hsm_stub.client.client import connect
from hsm_stub.key_material import new_key_material
from hsm_stub.security_module import SecurityModule
from processing.register.identifiers import make_card_number
from processing.wire.api import (
    CardOrder,
    CardStatus,
    IssuedCard,
    IssueReport,
    OrderRequest,
    OrderState,
)
from processing.wire.batches import WrittenStage

GOAL_CARDS_PER_S: Final = 300.0
GOAL_STATION_MS: Final = 100.0
GOAL_SPEEDUP: Final = 8.0
READERS_MAX: Final = 16
WARM_CARDS: Final = 20
VERIFICATIONS: Final = 50
CITIZENS: Final = 2_000
PASSPORT: Final = bytes(400)
PROFILE_LINES: Final = 30
A = TypeVar("A", bound=msgspec.Struct)


class DirectKeys:
    """The key service's own code, called without its socket."""

    def __init__(self) -> None:
        material = new_key_material("66", time.time_ns() // 1_000_000)
        backend = SoftwareBackend(material)
        self._module = SecurityModule(backend, lambda: time.monotonic_ns() // 1_000_000)

    def derive_card_keys(
        self, card_guid: bytes, version: int, master: int = 0, *, channel: bool = False
    ) -> c.CardAdminKey:
        """Derive a card's keys."""
        command = c.DeriveCardAdminKey(
            card_guid=card_guid, version=version, master=master, channel=channel
        )
        return self._ask(command, c.CardAdminKey)

    def issue_card_certificates(self, command: c.IssueCardCertificates) -> tuple[bytes, ...]:
        """Certify both slots."""
        return self._ask(command, c.Certificates).ders

    def _ask(self, command: c.Command, kind: type[A]) -> A:
        answer = self._module.execute(command)
        assert isinstance(answer, kind)
        return answer


class WaitingCentre:
    """Passports that wait in memory, reports that are taken: the centre's work is not measured."""

    def passport(self, _card_id: UUID) -> bytes:
        """Give a passport of a usual size."""
        return PASSPORT

    def report(self, order_id: UUID, _report: IssueReport) -> IssuedCard:
        """Take a report."""
        return IssuedCard(
            order_id=order_id,
            card_id=order_id,
            card_number="",
            holder_id=order_id,
            valid_to=date(2031, 6, 30),
            issued_at=datetime.now(UTC),
            holder_count=1,
        )

    def card(self, _card_id: UUID) -> CardStatus | None:
        """Know no card."""
        return None

    def spoiled(self, _order_id: UUID, _reason: str) -> CardOrder | None:
        """Replace nothing."""
        return None

    def stage(self, _order_id: UUID, stage: WrittenStage) -> object:
        """Take note of nothing."""
        return stage


class TimedCard:
    """A software card that knows how long it computed: CPU time, and wall time, in nanoseconds."""

    def __init__(self, card: ApduCard, counters: Counters | None = None) -> None:
        self._card = card
        self._counters = counters
        self.instructions = 0
        self.cpu_ns = 0
        self.wall_ns = 0
        self.apdus = 0

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self._card.atr

    def power_on(self) -> bytes:
        """Power up."""
        return self._card.power_on()

    def power_off(self) -> None:
        """Forget what needs power."""
        self._card.power_off()

    def reset(self) -> bytes:
        """Forget what a reset forgets."""
        return self._card.reset()

    def transmit(self, apdu: bytes) -> bytes:
        """Answer, by the clock."""
        cpu_ns, wall_ns = time.thread_time_ns(), time.perf_counter_ns()
        counted = instructions(self._counters)
        answer = self._card.transmit(apdu)
        self.instructions += instructions(self._counters) - counted
        self.cpu_ns += time.thread_time_ns() - cpu_ns
        self.wall_ns += time.perf_counter_ns() - wall_ns
        self.apdus += 1
        return answer


def instructions(counters: Counters | None) -> int:
    """Return the instructions counted so far; 0 where none are."""
    return 0 if counters is None else counters.read().instructions or 0


class Cost(msgspec.Struct, frozen=True):
    """What one card took of the station, the card's own taken off."""

    cpu_ms: float
    wall_ms: float
    apdus: int
    instructions: int = 0


def invented_orders(count: int) -> list[CardOrder]:
    """Orders of nobody."""
    return [
        CardOrder(
            order_id=uuid4(),
            state=OrderState.ORDERED,
            holder_id=uuid4(),
            register_version=1,
            card_id=uuid4(),
            card_number=make_card_number(66, number),
            issuer_region=66,
            valid_to=date(2031, 6, 30),
            challenge=os.urandom(32),
            ordered_at=datetime.now(UTC),
        )
        for number in range(count)
    ]


def drop_letter(_letter: PinLetter, _again: bool) -> None:
    """Print nothing: a printer's time is not the station's."""


def station_with(folder: Path, keys: KeyService, centre: CentreDesk) -> Station:
    """A station with a journal of its own."""
    return Station(Journal.open(folder), ServiceKeys(keys), Lot(), drop_letter, centre)


def make_one(
    station: Station,
    orders: OrderSource,
    port: ReaderPort,
    card: TimedCard,
    counters: Counters | None = None,
) -> Cost:
    """Make one card that lies at a reader; what it took."""
    port.wait_for_card(5_000)
    cpu_ns, wall_ns = time.thread_time_ns(), time.perf_counter_ns()
    counted = instructions(counters)
    with port.card() as client:
        served = station.serve(client, orders, lambda _: None)
    wall_ns = time.perf_counter_ns() - wall_ns - card.wall_ns
    # Through PC/SC the card computes in a thread of its own, here in this one.
    own_ns = card.cpu_ns if isinstance(port, Hopper) else 0
    cpu_ns = time.thread_time_ns() - cpu_ns - own_ns
    counted = instructions(counters) - counted - card.instructions
    assert served.outcome is Outcome.ISSUED, served.text("en")
    return Cost(cpu_ns / 1e6, wall_ns / 1e6, card.apdus, counted)


def verify_ms() -> float:
    """CPU time of one verification of a P-256 signature: what this machine's minute is worth."""
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(hashes.SHA256())
    signature, public = key.sign(b"x", algorithm), key.public_key()
    began_ns = time.thread_time_ns()
    for _ in range(VERIFICATIONS):
        public.verify(signature, b"x", algorithm)
    return (time.thread_time_ns() - began_ns) / VERIFICATIONS / 1e6


def in_process(folder: Path, count: int, *, profile: bool) -> None:
    """Print the rate of one core."""
    station = station_with(folder / "dry", DirectKeys(), WaitingCentre())
    counted = count // 4
    orders = OrderList(invented_orders(count + counted + WARM_CARDS), station.journal)
    serials = iter(range(1, 1 + count + counted + WARM_CARDS))

    def make(counters: Counters | None = None) -> Cost:
        card = TimedCard(SoftCard(factory_state(serial=next(serials))), counters)
        return make_one(station, orders, Hopper("hopper", iter([card])), card, counters)

    for _ in range(WARM_CARDS):
        make()
    costs, verifications = [], []
    profiler = cProfile.Profile()
    for number in range(count):
        if number % WARM_CARDS == 0:
            verifications.append(verify_ms())
        if profile:
            profiler.enable()
        costs.append(make())
        profiler.disable()
    # Counting takes time of its own, so it has cards of its own.
    with Counters([os.getpid()]) as counters:
        millions = [make(counters).instructions / 1e6 for _ in range(counted)]
    station.journal.close()
    cpu_ms = statistics.mean(cost.cpu_ms for cost in costs)
    one_ms = statistics.mean(verifications)
    print(
        f"in process, {count} cards of {costs[0].apdus} APDUs: {cpu_ms:.2f} ms of CPU a card, "
        f"{1000 / cpu_ms:.0f} cards/s of one core (goal {GOAL_CARDS_PER_S:.0f}); as much as "
        f"{cpu_ms / one_ms:.1f} verifications of {one_ms * 1000:.0f} µs, "
        f"{statistics.mean(millions or [0.0]):.2f} million instructions; "
        f"{statistics.mean(cost.wall_ms for cost in costs):.2f} ms by the clock with every fsync "
        f"(one takes {sync_us(folder):.0f} µs)"
    )
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(PROFILE_LINES)


class IssuingRig(Rig):
    """A centre with citizens to issue cards to, and a station's token."""

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def _load(self) -> None:
        self._spk("region", "create", "--citizens", str(CITIZENS), "--seed", "7")
        self._spk("cards", "add-station", "bench", "--token-file", str(self.home / "token"))

    def snils(self) -> list[str]:
        """СНИЛС of citizens without a card."""
        rows = self.ask(
            lambda connection: connection.fetch(
                "SELECT snils FROM register.citizen WHERE snils IS NOT NULL ORDER BY snils"
            )
        )
        return [str(row["snils"]) for row in rows]


class Counter:
    """Citizens who come one after another, each ordered when a card lies there."""

    def __init__(self, centre: CentreClient, snils: Iterator[str]) -> None:
        self._centre = centre
        self._snils = snils
        self._lock = threading.Lock()

    def take(self) -> CardOrder | None:
        """Order for the next."""
        with self._lock:
            snils = next(self._snils)
        return self._centre.order(OrderRequest(snils=snils, replace=True))

    def put_back(self, _order: CardOrder) -> None:
        """Nothing: a measured card that fails ends the measurement."""

    def left(self) -> int:
        """There is always another."""
        return 1


@contextmanager
def office() -> Iterator[tuple[Station, Counter]]:
    """A station at a real centre."""
    with (
        IssuingRig(RigSize(cards=0, terminals=0, workers=1)) as rig,
        connect(f"unix:{rig.home / 'hsm.sock'}") as hsm,
        CentreClient(f"http://127.0.0.1:{rig.http_port}", read_token(rig.home / "token")) as centre,
    ):
        station = station_with(rig.home / "station", hsm, centre)
        with station.journal:
            yield station, Counter(centre, iter(rig.snils()))


class TimedTransport:
    """A transport that knows how long its reader took, card included, in nanoseconds."""

    def __init__(self, inner: Transport) -> None:
        self.name = inner.name
        self._inner = inner
        self.wall_ns = 0

    def transceive(self, command: bytes) -> tuple[bytes, int]:
        """Pass on, by the clock."""
        began_ns = time.perf_counter_ns()
        answer = self._inner.transceive(command)
        self.wall_ns += time.perf_counter_ns() - began_ns
        return answer

    def close(self) -> None:
        """Let the card go."""
        self._inner.close()


class TimedPort(PcscPort):
    """A reader that knows how long it and its cards took."""

    reader_ns = 0

    @contextmanager
    def card(self) -> Iterator[PivClient]:
        """A client of the card there."""
        with self._opened().connect(self.name) as transport:
            timed = TimedTransport(transport)
            yield PivClient(open_channel(timed))
            self.reader_ns = timed.wall_ns


def through_pcsc(readers_count: int, cards: int) -> None:
    """Print the station's own time per card, and how many times one reader's rate many reach."""
    from card_personalization.readers.virtual import virtual_readers

    with office() as (station, orders), virtual_readers(max(1, readers_count)) as readers:
        costs, ways_ms = [], []
        for number in range(cards):
            card = TimedCard(SoftCard(factory_state(serial=1 + number)))
            name = readers.insert_card(card)
            port = TimedPort(name)
            costs.append(make_one(station, orders, port, card))
            ways_ms.append((port.reader_ns - card.wall_ns) / 1e6)
            port.close()
            readers.remove(name)
        both = list(zip(costs, ways_ms, strict=True))[1:]
        station_ms = statistics.median(cost.wall_ms - way_ms for cost, way_ms in both)
        print(
            f"through PC/SC at a real centre, {cards - 1} cards of {costs[-1].apdus} APDUs: "
            f"{station_ms:.0f} ms beyond reader and card (median; goal {GOAL_STATION_MS:.0f}); "
            f"pcscd and the virtual reader took {statistics.median(way for _, way in both):.0f} ms"
        )
        if readers_count > 1:
            alone_s = _together(station, orders, readers.names[:1], readers.insert_card, 1)
            readers.empty_all()
            all_s = _together(station, orders, readers.names, readers.insert_card, 2)
            speedup = readers_count * alone_s / all_s
            print(
                f"slow cards: one {alone_s:.2f} s, {readers_count} at once {all_s:.2f} s: "
                f"{speedup:.1f} times one reader's rate (goal {GOAL_SPEEDUP:.0f} with 16)"
            )


def _together(
    station: Station,
    orders: OrderSource,
    names: tuple[str, ...],
    insert: Callable[[ApduCard, str], str],
    seed: int,
) -> float:
    """Seconds in which a slow card at each of these readers is made, from all being put in."""
    cards = []
    for number, name in enumerate(names):
        card = TimedCard(
            DelayedCard(SoftCard(factory_state(serial=seed * 1000 + number)), Delays())
        )
        insert(card, name)
        cards.append(card)
    with ExitStack() as stack:
        ports = [PcscPort(name) for name in names]
        for port in ports:
            stack.callback(port.close)
        threads = [
            threading.Thread(target=make_one, args=(station, orders, port, card))
            for port, card in zip(ports, cards, strict=True)
        ]
        began_s = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began_s


def main() -> None:
    """Print what issuing costs, against its goals."""
    parser = argparse.ArgumentParser(prog="bench.issuance", description=__doc__)
    parser.add_argument("--cards", type=int, default=300, help="cards made in process")
    parser.add_argument("--pcsc-cards", type=int, default=10, help="cards made through PC/SC")
    parser.add_argument("--readers", type=int, choices=range(2, READERS_MAX + 1), metavar="2-16")
    parser.add_argument("--profile", action="store_true", help="where the time in process goes")
    parser.add_argument(
        "--in-process-only", action="store_true", help="need neither pcscd nor centre"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spk-issuance-") as name:
        in_process(Path(name), asked.cards, profile=asked.profile)
    if not asked.in_process_only:
        through_pcsc(asked.readers or 1, asked.pcsc_cards + 1)


if __name__ == "__main__":
    main()
