"""The text of all metrics, as Prometheus reads it, from a registry of our own."""

import asyncio
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from drainmon.metrics.collector import DrainCollector, NodeCollector
from drainmon.metrics.figures import Drains, Node
from drainmon.metrics.pod_families import PodFamilies, by_labels

PROC = Path("/proc")


class Exposition:
    """Makes the text. One scrape at a time: many at once cost no more than one after the other."""

    def __init__(self, node: Node, drains: Drains, proc: Path = PROC) -> None:
        self._node = node
        self._pods = PodFamilies()
        self._scraping = asyncio.Lock()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(NodeCollector(node))
        self._registry.register(DrainCollector(drains))
        ProcessCollector(proc=str(proc), registry=self._registry)

    async def text(self) -> bytes:
        """The metrics as they are now. Raises OSError when no source works."""
        async with self._scraping:
            living, gone = by_labels(await self._node.all_counts(), self._node.departed())
            pods = await self._pods.text(living, gone)
            return pods.encode(errors="replace") + generate_latest(self._registry)
