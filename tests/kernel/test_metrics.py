"""Registries do not share state, and what they say parses as Prometheus text."""

from __future__ import annotations

from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from processing.kernel.metrics import (
    BATCH_SIZE_BUCKETS,
    LATENCY_BUCKETS_SECONDS,
    exposition,
    new_registry,
)


def test_two_registries_hold_the_same_name_apart() -> None:
    first, second = new_registry(), new_registry()
    Counter("spk_decided", "Transactions decided", registry=first).inc(3)
    Counter("spk_decided", "Transactions decided", registry=second)
    assert first.get_sample_value("spk_decided_total") == 3
    assert second.get_sample_value("spk_decided_total") == 0


def test_exposition_parses() -> None:
    body, content_type = exposition(new_registry())
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert content_type.startswith("text/plain")
    assert {"process_cpu_seconds", "process_open_fds", "python_info"} <= names


def test_buckets_rise() -> None:
    for buckets in (LATENCY_BUCKETS_SECONDS, BATCH_SIZE_BUCKETS):
        assert list(buckets) == sorted(set(buckets))
