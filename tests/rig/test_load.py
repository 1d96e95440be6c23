"""The load's numbers are correct: no false loss, and every real loss is seen."""

import signal
import subprocess
from pathlib import Path

import pytest

from bench.rig.clients import LoadSpec
from bench.rig.errors import RigError
from bench.rig.hooks import HOOKS, Tools, sleep
from bench.rig.netns import Netns
from bench.rig.outcome import Kind, Outcome, Totals
from bench.rig.pod import FakePod
from bench.rig.traffic import Traffic
from bench.rig.trial import Trial, run_trial
from tests.waiting import eventually

pytestmark = pytest.mark.root

NO_TOOLS = Tools(client=Path("/nonexistent"), socket=Path("/nonexistent"))
# Downloads and streams of 2 s; the last client is done 4 s after the termination's start.
QUICK = LoadSpec(
    propagation=1.0, slow_rate=1_000_000, slow_stagger=1.5, streams=2, stream_seconds=2.0
)
LEAVING = [kind for kind in Kind if kind is not Kind.ENDLESS]


def trial(hook: str, nginx: Path) -> Trial:
    chosen = HOOKS.get(hook) or sleep(5)
    return run_trial(chosen, NO_TOOLS, nginx=nginx, load=QUICK, warm_up=1.5)


def test_the_load_counts_the_requests_that_nginx_served(pod: FakePod, client: Netns) -> None:
    spec = LoadSpec(
        pod.address, slow_rate=4_000_000, slow_stagger=0.2,
        streams=2, stream_seconds=0.5, never_used=2,
    )  # fmt: skip

    def every_kind_has_ended_some(totals: Totals) -> bool:
        return all(totals.requests(kind) for kind in Kind)

    with Traffic(client, spec) as traffic:
        eventually(lambda: every_kind_has_ended_some(traffic.totals))
        traffic.stop()
        totals = traffic.wait()
    assert totals.lost() == 0, traffic.losses
    assert traffic.losses == []
    served = (pod.directory / "access.log").read_text().splitlines()
    assert totals.requests() == len(served)
    assert totals.requests(Kind.SLOW_READER) == sum("/file" in line for line in served)
    assert totals.requests(Kind.STREAM) == sum('" 101 ' in line for line in served)
    # 200/s requested; far less only where the load itself is the bottleneck.
    assert totals.requests(Kind.SHORT) > 100 * (traffic.seconds - 1)


def test_the_load_ends_at_its_limit(pod: FakePod, client: Netns) -> None:
    spec = LoadSpec(pod.address, slow_readers=0, slow_upstream=0, limit=0.5)
    with Traffic(client, spec) as traffic:
        totals = traffic.wait(10)
    assert totals.lost() == 0, traffic.losses
    assert totals.requests(Kind.SHORT, Kind.KEEP_ALIVE, Kind.ENDLESS) == totals.requests() > 0


def test_unused_connections_stay_until_the_pod_is_gone(pod: FakePod, client: Netns) -> None:
    spec = LoadSpec(
        pod.address, short_rate=0, keep_alive=0, endless=0, slow_readers=0, slow_upstream=0,
        never_used=2,
    )  # fmt: skip
    argv = pod.netns.command(["ss", "-Htn", "state", "established", f"sport = :{pod.port}"])

    def established() -> int:
        listed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        return len(listed.splitlines())

    with Traffic(client, spec) as traffic:
        eventually(lambda: established() == 2)
        with pytest.raises(RigError, match="still running"):
            traffic.wait(0.5)
        assert established() == 2
        traffic.gone()
        assert traffic.wait().requests() == 0
        eventually(lambda: established() == 0)


def test_no_hook_loses_requests_of_every_kind(newest_nginx: Path) -> None:
    run = trial("none", newest_nginx)
    totals = run.totals
    assert all(totals.lost(kind) for kind in Kind), totals
    assert totals.losses(Kind.SHORT)[Outcome.REFUSED] > 0
    assert totals.losses(Kind.SLOW_READER)[Outcome.TRUNCATED] > 0
    assert totals.lost() == totals.losses().total()
    assert totals.requests() == totals.lost() + sum(
        counts[Outcome.OK] for counts in totals.outcomes.values()
    )


def test_a_graceful_quit_truncates_downloads(newest_nginx: Path) -> None:
    load = LoadSpec(
        short_rate=0, keep_alive=0, endless=0, slow_upstream=0, propagation=0.1,
        slow_rate=800_000, slow_stagger=0.5, patience=1.0,
    )  # fmt: skip
    run = run_trial(
        HOOKS["none"], NO_TOOLS,
        nginx=newest_nginx, load=load, warm_up=0.6, stop_signal=signal.SIGQUIT,
    )  # fmt: skip
    assert not run.termination.killed
    assert run.totals.losses(Kind.SLOW_READER)[Outcome.TRUNCATED] > 0, run.totals


def test_waiting_long_enough_loses_nothing(nginx: Path) -> None:
    run = trial("sleep", nginx)
    totals = run.totals
    assert totals.lost(*LEAVING) == 0, run.losses
    assert all(totals.requests(kind) for kind in Kind)
    # Endless clients may be cut off by the stop signal, but by nothing else.
    assert totals.lost(Kind.ENDLESS) == totals.races[Kind.ENDLESS]
