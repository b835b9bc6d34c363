"""Measurements for Prometheus: each program builds its own registry and hands it on.

The library's global registry is not used: two centres in one test process must not share
counters. Metric names begin with `spk_`; times are in seconds, as Prometheus asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

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
