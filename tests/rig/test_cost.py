"""The parts of bench.cost: programs attached alone, churn on a shared port, pairs of turns."""

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

import pytest

from bench import cost, throughput
from bench.rig.churning import Spot, churn_netns, churning
from bench.rig.pairs import Interval, median_of
from bench.rig.pod import FakePod
from bench.rig.programs import beside, counting_runs, empty, ours, runs
from bench.rig.tcpstates import PROGRAM, tcpstates
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.programs import OBJECT

CONNECTIONS = 200
ONE_PORT = [Spot(8000, "127.1.0.1"), Spot(8000, "127.1.0.2")]


@pytest.mark.root
@pytest.mark.parametrize(
    "attach",
    [
        pytest.param(empty, id="empty"),
        pytest.param(lambda: ours(1), id="ours"),
        pytest.param(lambda: beside(OBJECT), id="beside"),
        pytest.param(
            tcpstates,
            id="tcpstates",
            marks=pytest.mark.skipif(
                not PROGRAM.exists(), reason="needs tcpstates: apt install bpfcc-tools"
            ),
        ),
    ],
)
def test_every_event_is_counted_as_a_run(attach: Callable[[], AbstractContextManager[int]]) -> None:
    with (
        counting_runs(),
        churn_netns() as namespace,
        attach() as pid,
        churning(namespace, [Spot(8000)]) as load,
    ):
        before = runs(pid)
        done = load.run(CONNECTIONS)
        after = runs(pid)
    # Both ends open and close: at least CLOSE, ESTABLISHED and CLOSE again.
    assert after.events - before.events > 4 * done
    assert 1 < after.since(before) < 1_000_000


@pytest.mark.root
@pytest.mark.parametrize(
    "attach", [empty, lambda: ours(1), lambda: beside(OBJECT)], ids=["empty", "ours", "beside"]
)
def test_a_program_is_gone_after_its_block(
    attach: Callable[[], AbstractContextManager[int]],
) -> None:
    with counting_runs(), churn_netns() as namespace:
        with attach(), churning(namespace, [Spot(8000)]):
            assert runs(os.getpid()).events
        assert not runs(os.getpid()).events


@pytest.mark.root
def test_churn_processes_can_share_a_port() -> None:
    with (
        churn_netns() as namespace,
        closing(Conntrack(lambda *_: None)) as conntrack,
    ):
        conntrack.add_port(namespace.inode, 8000)
        with churning(namespace, ONE_PORT) as load:
            done = load.run(CONNECTIONS)
            counters = conntrack.counters(namespace.inode, 8000)
    assert done >= CONNECTIONS
    assert counters is not None
    assert counters[1] == done  # accepted


@pytest.mark.root
def test_churn_stays_on_its_cpu() -> None:
    cpu = min(os.sched_getaffinity(0))
    with churn_netns() as namespace, churning(namespace, [Spot(8000, cpu=cpu)]):
        argv = ["ip", "netns", "pids", namespace.name]
        (pid,) = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
        assert os.sched_getaffinity(int(pid)) == {cpu}


@pytest.mark.root
@pytest.mark.skipif(
    not (shutil.which("ab") and Path(throughput.NGINX).exists()),
    reason="needs apache2-utils and Debian's nginx",
)
def test_a_turn_of_nginx_serves_every_connection() -> None:
    with throughput.server() as pod:
        found = throughput.effect(list(throughput.measure(pod, lambda _: empty(), 2, 200)))
    assert found.without > 100
    assert found.gain.low <= found.gain.median <= found.gain.high


def test_a_difference_in_all_pairs_is_significant() -> None:
    interval = median_of([-0.03, -0.029, -0.031, -0.03, -0.028, -0.032] * 5)
    assert -0.032 <= interval.low <= interval.median <= interval.high < -0.02


def test_pairs_that_differ_both_ways_show_no_difference() -> None:
    interval = median_of([-0.05, 0.05, -0.04, 0.04, -0.02, 0.02, 0.0] * 3)
    assert interval.low < 0 < interval.high


@pytest.mark.parametrize(
    ("counted", "others", "good"),
    [(169.0, 79.0, True), (171.0, 79.0, False), (169.0, 81.0, False)],
)
def test_cost_fails_on_an_event_beyond_the_limit(counted: float, others: float, good: bool) -> None:
    taken = {cost.COUNTED: [1.0, counted, 999.0], cost.OTHERS: [others], cost.EMPTY: [20.0]}
    assert cost.report("ns", taken) is good


@pytest.mark.parametrize(
    ("name", "high", "good"),
    [
        ("a daemon", -0.005, True),
        ("a daemon", -0.011, False),
        (cost.EMPTY, -0.011, True),
    ],
)
def test_cost_fails_on_a_significant_loss(name: str, high: float, good: bool) -> None:
    effect = throughput.Effect(10_000, Interval(high - 0.01, high - 0.02, high))
    assert cost.report_effect(name, effect) is good


def test_cost_reports_missing_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.rig.tcpstates.PROGRAM", Path("/nonexistent"))
    assert "tcpstates" not in cost.contenders([])
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert cost.nginx(None) is True  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert "cannot compare with tcpstates: not installed (Debian: bpfcc-tools)" in said
    assert "ab is not installed (Debian: apache2-utils)" in said


def test_pairs_alternate_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def attached(_pod: FakePod) -> nullcontext[None]:
        order.append("attach")
        return nullcontext()

    def load(_pod: FakePod, connections: int) -> float:
        order.append(str(connections))
        return 1.0

    monkeypatch.setattr(throughput, "_load", load)
    list(throughput.measure(None, attached, 2, 1000))  # type: ignore[arg-type]
    settled, *turns = order
    assert settled == str(throughput.SETTLE)
    assert turns == ["attach", "100", "1000", "100", "1000", "100", "1000", "attach", "100", "1000"]
