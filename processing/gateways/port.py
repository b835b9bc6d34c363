"""What a port for terminals is bound by, and what operators see of it."""

from __future__ import annotations

from collections import Counter as Tally
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from processing.gateways.rate import TERMINAL_RATE_PER_SECOND
from processing.kernel.metrics import Durations
from processing.wire.outcome import Outcome

FRAMES_PER_TURN_MAX: Final = 16
"""Most frames that are begun before the loop looks after everything else: about 3 ms of work."""


class GatewayLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one port.

    `outstanding_max` frames of a connection are worked on at a time. `write_buffer_max_bytes` of
    unread answers stop a connection from being read. A connection on which nothing came for
    `idle_timeout_ms` is closed; the terminal opens another. A connection that is being closed has
    `close_timeout_ms` to take its last answers. When `frames_max` frames of all connections are
    under way, or a terminal sent more than `terminal_rate_per_second` (0: any number) allows, an
    authentic message is told at once to try later.
    """

    connections_max: int = 2_000
    outstanding_max: int = 64
    write_buffer_max_bytes: int = 256 * 1024
    idle_timeout_ms: int = 900_000
    close_timeout_ms: int = 2_000
    frames_max: int = 2_048
    terminal_rate_per_second: int = TERMINAL_RATE_PER_SECOND


class GatewayMetrics:
    """What operators see of the gateway."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connections = Gauge(
            "spk_iso8583_connections", "Open terminal connections", registry=registry
        )
        self.under_way = Gauge(
            "spk_iso8583_under_way", "Frames that wait for their answers", registry=registry
        )
        self.turned_away = Counter(
            "spk_iso8583_turned_away",
            "Messages told to try later before anything was looked at, by the limit they met",
            ["limit"],
            registry=registry,
        )
        self.framing_faults = Counter(
            "spk_iso8583_framing_faults", "Connections closed for bad framing", registry=registry
        )
        self._answers = Counter(
            "spk_iso8583_answers", "Answers by outcome", ["outcome"], registry=registry
        )
        self._seconds = Durations(
            "spk_iso8583_seconds", "Seconds from a whole frame to its answer", registry
        )

    def answered(self, answers: list[tuple[Outcome, int]], now_ns: int) -> None:
        """Count answers just sent: the outcome of each, and when its frame had come (monotonic)."""
        for outcome, count in Tally(outcome for outcome, _ in answers).items():
            self._answers.labels(outcome.name).inc(count)
        self._seconds.observe(now_ns - began_ns for _, began_ns in answers)
