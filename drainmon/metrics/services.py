"""What the metrics need of the daemon."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from drainmon.drain.report import DrainRecord
from drainmon.drain.statistics import DrainStatistics
from drainmon.model.counts import Counts
from drainmon.pods.pod import Pod


class Node(Protocol):
    """The node's pods and the health of the source."""

    @property
    def source_name(self) -> str: ...

    @property
    def refused_sources(self) -> Mapping[str, str]: ...

    @property
    def drift(self) -> int: ...

    def missed(self) -> Mapping[str, int]: ...

    async def all_counts(self) -> Sequence[tuple[Pod, Counts]]:
        """Every pod with its counts."""

    def departed(self) -> Sequence[tuple[Pod, Counts]]:
        """The pods that ended recently, each with its last counts."""


class Drains(Protocol):
    """The node's drains."""

    @property
    def statistics(self) -> DrainStatistics: ...

    @property
    def running(self) -> int: ...

    def records(self) -> Iterator[DrainRecord]:
        """Running and ended drains."""
