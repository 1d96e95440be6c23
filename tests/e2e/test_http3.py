"""A drain loses no HTTP/3 request, though no socket shows its clients. All pods at once, each with
a daemon and with the client alone."""

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bench.rig.clients import LoadSpec
from bench.rig.http3.pod import NGINX, PORT, http3_pod
from bench.rig.netns import Netns, fresh_netns
from bench.rig.outcome import Kind, Totals
from bench.rig.pod import FakePod, Termination
from bench.rig.traffic import Traffic
from tests.e2e.api import record_of
from tests.e2e.harness import daemon_in, wait_argv
from tests.waiting import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not NGINX.exists(), reason="needs `make build/nginx-http3`"),
]

ENGINES = ["daemon", "alone"]
MIN_WAIT, UNREACHABLE_AFTER = 3.0, 3.0
FLAGS: dict[str, object] = {
    "min_wait": f"{MIN_WAIT}s",
    "quiet": "0.3s",
    "timeout": "25s",
    "unreachable_after": f"{UNREACHABLE_AFTER}s",
}
NOBODY = LoadSpec(
    port=PORT, http3=True, propagation=2.5, patience=5,
    short_rate=0, keep_alive=0, endless=0, slow_readers=0, slow_upstream=0,
)  # fmt: skip
EVERY_KIND = replace(
    NOBODY, short_rate=5, short_clients=2, keep_alive=2, endless=2, slow_readers=4, slow_upstream=1
)
KINDS = [kind for kind in Kind if kind is not Kind.STREAM]


@dataclass(frozen=True)
class Situation:
    """A pod, its clients, and how it ends."""

    load: LoadSpec
    pod: dict[str, Any] = field(default_factory=dict)
    flags: dict[str, object] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    vanish: bool = False
    """Whether the clients' packets are dropped from the termination on."""


SITUATIONS = {
    "two_workers": Situation(EVERY_KIND),
    "host_key_and_quit": Situation(EVERY_KIND, {"host_key": True}, stop_signal=signal.SIGQUIT),
    "one_worker": Situation(EVERY_KIND, {"workers": 1}),
    # Nothing is sent in either direction for longer than a peer may leave data unanswered.
    "slow_upstream": Situation(
        replace(NOBODY, slow_upstream=2), {"workers": 1}, {"unreachable_after": "1s"}
    ),
    "idle": Situation(replace(NOBODY, never_used=3)),
    "vanished": Situation(
        replace(NOBODY, slow_readers=3, slow_stagger=0), {"file_bytes": 10_000_000}, vanish=True
    ),
    "not_rolled": Situation(replace(NOBODY, slow_readers=1), flags={"no_roll": True}),
}


@dataclass
class Ended:
    """How the termination went. `record` is empty without a daemon."""

    termination: Termination
    record: dict[str, Any]
    totals: Totals
    losses: list[dict[str, Any]]

    @property
    def last(self) -> str:
        return self.termination.output.splitlines()[-1]


def end(situation: Situation, socket: Path) -> Ended:
    with (
        fresh_netns("drainmon-client") as client,
        http3_pod(client, **{"file_bytes": 300_000, **situation.pod}) as pod,
    ):
        load = replace(situation.load, address=pod.address, upstream_port=pod.upstream_port)
        with Traffic(client, load) as traffic:
            eventually(lambda: served(pod, traffic, load))
            traffic.terminate()
            if situation.vanish:
                drop_packets(client)
            argv = wait_argv(socket, **{**FLAGS, **situation.flags})
            termination = pod.terminate(argv, situation.stop_signal)
            traffic.gone()
            if situation.vanish:
                traffic.stop()
            totals = traffic.wait()
        record = record_of(socket, pod) if socket.exists() else {}
        return Ended(termination, record, totals, traffic.losses)


def served(pod: FakePod, traffic: Traffic, load: LoadSpec) -> bool:
    """Whether clients of every kind have been served, or are connected."""
    if load.short_rate:
        return all(traffic.totals.requests(kind) for kind in KINDS)
    return datagrams(pod) > 20


def datagrams(pod: FakePod) -> int:
    """How many datagrams nginx has sent."""
    lines = Path(f"/proc/{pod.master_pid}/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("OutDatagrams")])


def drop_packets(client: Netns) -> None:
    for chain in ("INPUT", "OUTPUT"):
        rule = ["iptables", "-w", "-A", chain, "-p", "udp", "-j", "DROP"]
        subprocess.run(client.command(rule), check=True)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Ended]]:
    """The result of a situation with an engine."""
    results: dict[tuple[str, str], Ended | BaseException] = {}

    def run(name: str, engine: str, socket: Path) -> None:
        try:
            results[name, engine] = end(SITUATIONS[name], socket)
        except BaseException as error:
            results[name, engine] = error

    def result(name: str, engine: str) -> Ended:
        one = results[name, engine]
        if isinstance(one, BaseException):
            raise one
        return one

    with daemon_in(tmp_path_factory.mktemp("daemon")) as daemon:
        sockets = {"daemon": daemon.socket, "alone": Path("/nowhere/drainmon.sock")}
        threads = [
            threading.Thread(target=run, args=(name, engine, sockets[engine]))
            for name in SITUATIONS
            for engine in ENGINES
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield result


Result = Callable[[str, str], Ended]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "name", ["two_workers", "host_key_and_quit", "one_worker", "slow_upstream"]
)
def test_no_http3_request_is_lost(ended: Result, name: str, engine: str) -> None:
    one = ended(name, engine)
    assert one.totals.lost() == 0, (one.losses, one.termination.output)
    assert one.termination.hook_exit == 0, one.termination.output
    assert one.last.startswith("drainmon: drained, 0 in flight, "), one.last
    assert "roll: quit" in one.last
    assert "UDP workers" in one.termination.output
    assert "cannot count" not in one.last


@pytest.mark.parametrize("name", ["two_workers", "host_key_and_quit", "one_worker"])
def test_the_record_has_the_udp_workers(ended: Result, name: str) -> None:
    record = ended(name, "daemon").record
    assert (record["result"], record["roll"], record["udp_workers"]) == ("drained", "quit", 0)
    assert len(record["rolls"]) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_idle_http3_clients_do_not_hold_the_drain(ended: Result, engine: str) -> None:
    one = ended("idle", engine)
    assert one.termination.hook_exit == 0, one.termination.output
    assert one.termination.seconds < MIN_WAIT + UNREACHABLE_AFTER
    assert "roll: quit" in one.last


@pytest.mark.parametrize("engine", ENGINES)
def test_vanished_http3_clients_hold_the_drain_for_a_limited_time(
    ended: Result, engine: str
) -> None:
    one = ended("vanished", engine)
    assert one.termination.hook_exit == 0, one.termination.output
    # nginx sends less and less often to a client that does not answer; several attempts must be
    # seen.
    assert one.termination.seconds < MIN_WAIT + 2 * UNREACHABLE_AFTER + 3
    assert f"cannot count udp {PORT}" in one.last


@pytest.mark.parametrize("engine", ENGINES)
def test_no_roll_reports_that_http3_cannot_be_counted(ended: Result, engine: str) -> None:
    one = ended("not_rolled", engine)
    assert one.termination.hook_exit == 0, one.termination.output
    assert one.termination.seconds < MIN_WAIT + 2
    assert f"cannot count udp {PORT}" in one.last
    assert "roll: quit" not in one.last
