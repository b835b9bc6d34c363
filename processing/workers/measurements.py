"""The measurements of several processes on one page, told apart by the label `worker`.

Each process keeps its own registry; the page adds the label and nothing else. A worker that was
replaced begins again at zero, which Prometheus reads as a counter's reset. Sums over workers are
made where they are looked at: `sum without (worker) (rate(spk_iso8583_answers_total[1m]))`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

WORKER_LABEL: Final = "worker"
SUPERVISOR: Final = "supervisor"
"""The label's value for the process that starts the others."""


def one_page(texts: Mapping[str, str]) -> tuple[bytes, str]:
    """Return body and content type of a page with the Prometheus texts of several processes.

    `texts` is by the value that the label shall have.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Labelled(texts))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Labelled(Collector):
    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for worker, text in self._texts.items():
            for found in text_string_to_metric_families(text):
                family = families.setdefault(
                    found.name, Metric(found.name, found.documentation, found.type)
                )
                for sample in found.samples:
                    labels = {WORKER_LABEL: worker, **sample.labels}
                    family.add_sample(sample.name, labels, sample.value)
        yield from families.values()
