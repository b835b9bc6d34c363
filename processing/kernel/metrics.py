"""Measurements for Prometheus: each program builds its own registry and hands it on.

The library's global registry is not used: two centres in one test process must not share
counters. Metric names begin with `spk_`; times are in seconds, as Prometheus asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

LATENCY_BUCKETS_SECONDS: Final = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
)
"""One scale for every latency histogram, so that they can be compared and added."""

BATCH_SIZE_BUCKETS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
"""The scale for histograms that count items of a batch."""


Measurements = Callable[[], Awaitable[tuple[bytes, str]]]
"""Returns the body and the content type that `/metrics` answers with."""


class Durations(Collector):
    """A histogram of seconds on the scale above, of which many are observed at a time."""

    def __init__(self, name: str, documentation: str, registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds_ns = [round(bound * 1_000_000_000) for bound in LATENCY_BUCKETS_SECONDS]
        self._counts = [0] * (len(self._bounds_ns) + 1)
        self._sum_ns = 0
        registry.register(self)

    def observe(self, durations_ns: Iterable[int]) -> None:
        """Count durations, in nanoseconds."""
        bounds_ns, counts = self._bounds_ns, self._counts
        for duration_ns in durations_ns:
            counts[bisect_left(bounds_ns, duration_ns)] += 1
            self._sum_ns += duration_ns

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give the histogram to whoever makes a page of measurements."""
        bounds = [*map(str, LATENCY_BUCKETS_SECONDS), "+Inf"]
        yield HistogramMetricFamily(
            self._name,
            self._documentation,
            buckets=list(zip(bounds, map(float, accumulate(self._counts)), strict=True)),
            sum_value=self._sum_ns / 1_000_000_000,
        )


def new_registry() -> CollectorRegistry:
    """Return a registry with this process's CPU, memory, files and Python version."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> tuple[bytes, str]:
    """Return the body and the content type that `/metrics` answers with."""
    return generate_latest(registry), CONTENT_TYPE_LATEST


def page_of(registry: CollectorRegistry) -> Measurements:
    """Return the measurements of one registry as a page that can be asked for."""

    async def page() -> tuple[bytes, str]:
        return exposition(registry)

    return page
