"""A fake node with its drains, as the metrics see them; and the paths of Prometheus's programs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from drainmon.drain.report import DrainRecord
from drainmon.drain.roll import Outcome, Roll
from drainmon.drain.statistics import DrainStatistics
from drainmon.model.counts import Counts
from drainmon.model.tcp import TcpState
from drainmon.pods.identity import Identity
from drainmon.pods.pod import Pod

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "metrics"
UNPACKED = ROOT / "build" / "prometheus" / "usr" / "bin"


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`, as `make build` provides it."""
    found = UNPACKED / name
    assert found.exists(), f"no {found} (make build)"
    return str(found)


def pod(number: int, name: str, namespace: str = "") -> Pod:
    """A pod named by its container ID or, with a namespace, by Kubernetes."""
    who = Identity(namespace, name) if namespace else Identity(container_id=name)
    return Pod(number, number, who, (), frozenset({80}))


@dataclass
class MadeUpNode:
    """A node that reports the given values."""

    live: list[tuple[Pod, Counts]] = field(default_factory=list)
    gone: list[tuple[Pod, Counts]] = field(default_factory=list)
    source_name: str = "core"
    refused_sources: dict[str, str] = field(default_factory=dict)
    drift: int = 0
    lost: dict[str, int] = field(default_factory=dict)

    def missed(self) -> dict[str, int]:
        return self.lost

    async def all_counts(self) -> list[tuple[Pod, Counts]]:
        return self.live

    def departed(self) -> list[tuple[Pod, Counts]]:
        return self.gone


class MadeUpDrains:
    """Three drains that have ended, and one that runs."""

    running = 1

    def __init__(self) -> None:
        self.statistics = DrainStatistics()
        self.statistics.rolled(Roll(Outcome.QUIT))
        for result, seconds, last_arrival in (
            ("drained", 5.2, 3.25), ("drained", 7.5, 6.0), ("deadline", 25.0, 24.5),
        ):  # fmt: skip
            self.statistics.add(
                DrainRecord(
                    "web", 1, 1e9, min_wait=5.0, quiet=1.5,
                    result=result, seconds=seconds, last_arrival=last_arrival,
                )
            )  # fmt: skip

    def records(self) -> Iterator[DrainRecord]:
        yield DrainRecord("web", 1, 1e9, "shop", "web-1", udp_workers=2)
        yield DrainRecord("web", 1, 1e9, "shop", "web-0", udp_workers=2, result="deadline")


def full_node() -> MadeUpNode:
    """A node with a value for every metric."""
    busy = {TcpState.ESTABLISHED: 3, TcpState.FIN_WAIT1: 1}
    return MadeUpNode(
        live=[
            (
                pod(1, "web-0", "shop"),
                Counts(busy, 1234),
            ),
            (Pod(2, 4026532001, Identity(), (), frozenset()), Counts()),
        ],
        gone=[(pod(3, "web-1", "shop"), Counts({TcpState.FIN_WAIT1: 7}, 99))],
        source_name="bcc",
        refused_sources={"core": "cannot load drainmon.bpf.o: the kernel has no BTF"},
        drift=2,
        lost={"event": 0, "recursion": 5},
    )
