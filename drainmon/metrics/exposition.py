"""The text of all metrics for Prometheus, from registries of our own."""

import asyncio
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from drainmon.metrics.collector import DrainCollector, NodeCollector
from drainmon.metrics.pod_families import PodFamilies, by_labels
from drainmon.metrics.services import Drains, Node
from drainmon.procfs.process import PROC


class Exposition:
    """Makes the text, for one scrape at a time."""

    def __init__(self, node: Node, drains: Drains, proc: Path = PROC) -> None:
        self._node = node
        self._drains = drains
        self._pods = PodFamilies()
        self._scraping = asyncio.Lock()
        self._of_node, self._of_drains, self._of_process = (
            CollectorRegistry(auto_describe=False) for _ in range(3)
        )
        self._of_node.register(NodeCollector(node))
        self._of_drains.register(DrainCollector(drains))
        ProcessCollector(proc=str(proc), registry=self._of_process)
        self._drains_known: tuple[int, ...] = ()
        self._drains_text = b""

    async def text(self) -> bytes:
        """The metrics as they are now. Raises OSError when no source works."""
        async with self._scraping:
            living, gone = by_labels(await self._node.all_counts(), self._node.departed())
            pods = await self._pods.text(living, gone)
            return b"".join(
                (
                    pods.encode(errors="replace"),
                    generate_latest(self._of_node),
                    self._text_of_drains(),
                    generate_latest(self._of_process),
                )
            )

    def _text_of_drains(self) -> bytes:
        """The text of drains, made again only after a change: histograms have many lines."""
        statistics = self._drains.statistics
        known = self._drains.running, statistics.refused_callers, *statistics.results.values()
        if known != self._drains_known:
            self._drains_known = known
            self._drains_text = generate_latest(self._of_drains)
        return self._drains_text
