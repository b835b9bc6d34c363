"""What a measurement found, as data: samples of subjects that took turns, and what follows."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Final

import msgspec

from bench.latency import Latency
from bench.wal import WalUse

STEADY: Final = "1000/s"
STEADY_PGBENCH: Final = "pgbench 1000/s"
"""Names of the load points where the centre and pgbench are offered the same."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of one subject.

    `cpu_us` is CPU time per sale by part (server, hsm, postgres, generator); `others_share` how
    much of the machine's time somebody else used meanwhile, 0 to 1.
    """

    rate_per_second: float
    cpu_us: dict[str, float] = {}
    others_share: float = 0.0
    latency: Latency | None = None
    outcomes: dict[str, int] = {}
    notes: tuple[str, ...] = ()


class LoadPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Latency at a rate that was offered; `name` says what the rate is."""

    name: str
    offered_per_second: float
    served_per_second: float
    latency: Latency


class MemoryRun(msgspec.Struct, frozen=True, kw_only=True):
    """The largest process of the centre while it was saturated, in bytes, every few seconds."""

    minutes: float
    sales: int
    cards_known: int
    largest_bytes: tuple[int, ...]

    @property
    def peak_bytes(self) -> int:
        """Return the most that any process took."""
        return max(self.largest_bytes)

    @property
    def growth_bytes(self) -> int:
        """Return how much the peak of the last fifth exceeds that of the second fifth."""
        fifth = max(1, len(self.largest_bytes) // 5)
        return max(self.largest_bytes[-fifth:]) - max(self.largest_bytes[fifth : 2 * fifth] or (0,))


class HistoryRun(msgspec.Struct, frozen=True, kw_only=True):
    """CPU per sale of server and PostgreSQL, in verifications, with few and with many rows."""

    rows_before: int
    rows_after: int
    cost_before: float
    cost_after: float


class SlowDiskRun(msgspec.Struct, frozen=True, kw_only=True):
    """Rates by turns, without and with a delay of every fsync."""

    delay_us: int
    rates: tuple[float, ...]
    slowed_rates: tuple[float, ...]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how it was measured."""

    begun_at: str
    mode: str
    commit: str
    processor: str
    cores: int
    python: str
    postgres: str
    sync_us: float
    workers: int
    cards: int
    terminals: int
    load_before: tuple[float, float, float]
    load_after: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seconds: float = 0.0


class Figures(msgspec.Struct, kw_only=True):
    """Everything a measurement found; `rounds` is one dictionary of samples per round."""

    place: Place
    rounds: list[dict[str, Sample]] = []
    load_points: list[LoadPoint] = []
    wal: WalUse | None = None
    wal_sales: int = 0
    postgres_cpu: dict[str, float] = {}
    memory: MemoryRun | None = None
    history: HistoryRun | None = None
    slow_disk: SlowDiskRun | None = None
    acknowledged: int = 0
    stored: int = 0
    verified_receipts: int = 0
    turned_away: int = 0
    faults: list[str] = []

    def median(self, value: Callable[[dict[str, Sample]], float]) -> float:
        """Return the median over the rounds of what `value` makes of each."""
        return statistics.median(value(one) for one in self.rounds)

    def rate(self, name: str) -> float:
        """Return the median rate of a subject."""
        return self.median(lambda one: one[name].rate_per_second)

    def cpu(self, name: str, *parts: str) -> float:
        """Return the median CPU microseconds per sale of a subject's parts together."""
        return self.median(lambda one: sum(one[name].cpu_us.get(part, 0.0) for part in parts))

    def ratio(self, name: str, reference: str) -> float:
        """Return the median of a subject's rate as a multiple of another's in the same round."""
        return self.median(
            lambda one: one[name].rate_per_second / max(1e-9, one[reference].rate_per_second)
        )

    def load_point(self, name: str) -> LoadPoint | None:
        """Return the load point of this name; of several turns the one with the median p99."""
        turns = sorted(self.turns_at(name), key=lambda one: one.latency.p99_us)
        return turns[len(turns) // 2] if turns else None

    def turns_at(self, name: str) -> list[LoadPoint]:
        """Return the load points of this name, one for each turn."""
        return [one for one in self.load_points if one.name == name]
