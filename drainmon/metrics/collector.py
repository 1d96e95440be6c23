"""The daemon's own metrics, collected at each scrape: health of the source, drains."""

import math
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from drainmon import __version__
from drainmon.drain.statistics import Histogram
from drainmon.metrics.services import Drains, Node


class NodeCollector(Collector):
    """The source in use, and its errors."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "drainmon_build_info", "The daemon's version; 1.", labels=["version"]
        )
        build.add_metric([__version__], 1)
        yield build
        source = GaugeMetricFamily(
            "drainmon_source_info", "The source in use; 1.", labels=["source"]
        )
        source.add_metric([self._node.source_name], 1)
        yield source
        refused = GaugeMetricFamily(
            "drainmon_source_refused",
            "A better source that does not work here; 1.",
            labels=["source"],
        )
        for name in self._node.refused_sources:
            refused.add_metric([name], 1)
        yield refused
        yield CounterMetricFamily(
            "drainmon_drift",
            "Connections by which a snapshot corrected the counters.",
            value=self._node.drift,
        )
        missed = CounterMetricFamily(
            "drainmon_missed_events",
            "Events and entries lost by the kernel or a full map, by place.",
            labels=["place"],
        )
        for place, count in self._node.missed().items():
            missed.add_metric([place], count)
        yield missed


class DrainCollector(Collector):
    """The node's drains since the daemon started."""

    def __init__(self, drains: Drains) -> None:
        self._drains = drains

    def collect(self) -> Iterator[Metric]:
        statistics = self._drains.statistics
        yield GaugeMetricFamily(
            "drainmon_drains_running", "Drains in progress.", value=self._drains.running
        )
        udp = GaugeMetricFamily(
            "drainmon_udp_workers",
            "Workers that a drain waits for, as they may still serve UDP clients.",
            labels=["namespace", "pod"],
        )
        workers = Counter[tuple[str, str]]()
        for record in self._drains.records():
            if record.udp_workers and record.result is None:
                workers[record.namespace, record.name or record.pod] += record.udp_workers
        for labels, number in workers.items():
            udp.add_metric(labels, number)
        yield udp
        ended = CounterMetricFamily(
            "drainmon_drains", "Drains that have ended, by result.", labels=["result"]
        )
        for result, count in statistics.results.items():
            ended.add_metric([result], count)
        yield ended
        rolls = CounterMetricFamily(
            "drainmon_rolls",
            "Rolls of nginx's workers, by outcome.",
            labels=["outcome"],
        )
        for outcome, count in statistics.rolls.items():
            rolls.add_metric([outcome.value], count)
        yield rolls
        yield CounterMetricFamily(
            "drainmon_refused_callers",
            "Connections to the port in pods' network namespaces that did not come from the node.",
            value=statistics.refused_callers,
        )
        yield _histogram(
            "drainmon_drain_seconds",
            "Durations of drains whose client got a result.",
            statistics.seconds,
        )
        yield _histogram(
            "drainmon_last_arrival_seconds",
            "From a drain's start to its last arrival: how long clients take to learn of a pod's"
            " end.",
            statistics.last_arrival,
        )
        yield CounterMetricFamily(
            "drainmon_late_drains",
            "Drains with an arrival after min-wait.",
            value=statistics.late,
        )
        yield CounterMetricFamily(
            "drainmon_unsettled_drains",
            "Drains that ended without a quiet period after the last arrival.",
            value=statistics.unsettled,
        )


def _histogram(name: str, documentation: str, values: Histogram) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, documentation)
    buckets = [
        ("+Inf" if math.isinf(bound) else str(float(bound)), float(count))
        for bound, count in values.cumulative()
    ]
    family.add_metric([], buckets, values.sum)
    return family
