"""What Prometheus reads: figures taken from the node when it asks, in a registry of our own."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Figures(Protocol):
    """What is told of the node."""

    @property
    def source_name(self) -> str: ...

    @property
    def drift(self) -> int: ...

    def missed(self) -> dict[str, int]: ...


class NodeCollector(Collector):
    """The daemon's own health."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        source = GaugeMetricFamily(
            "drainmon_source_info", "The source in use; 1.", labels=["source"]
        )
        source.add_metric([self._figures.source_name], 1)
        yield source
        yield CounterMetricFamily(
            "drainmon_drift",
            "Connections by which counters were corrected after a snapshot.",
            value=self._figures.drift,
        )
        missed = CounterMetricFamily(
            "drainmon_missed_events",
            "Events and entries that the kernel or a full map has swallowed, by place.",
            labels=["place"],
        )
        for place, count in self._figures.missed().items():
            missed.add_metric([place], count)
        yield missed


class Exposition:
    """The text of all metrics."""

    def __init__(self, figures: Figures) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(NodeCollector(figures))

    def text(self) -> bytes:
        return generate_latest(self._registry)
