"""Common preStop hooks and drainmon's, as the command lines a kubelet would run."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from bench.rig.pod import PID_FILE, FakePod, HookPlace

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Tools:
    """Where drainmon is, as seen from inside a pod: the client's binary, the folder of the daemon's
    socket, and the daemon's ways in to each pod's network namespace: the name of an abstract
    socket, and a TCP port."""

    client: Path
    socket: Path
    in_pod_socket: str = "drainmon"
    in_pod_port: int = 9936


@dataclass(frozen=True)
class Hook:
    """`argv` makes the command line for a pod; None means no hook."""

    name: str
    title: str
    argv: Callable[[FakePod, Tools], list[str] | None]
    stub_status: bool = False
    """Whether the hook needs nginx's own count of connections."""
    place: HookPlace = HookPlace.POD
    """Where the hook runs."""


def _none(_pod: FakePod, _tools: Tools) -> None:
    return None


def _quit(pod: FakePod, _tools: Tools) -> list[str]:
    return [*pod.nginx_argv, "-s", "quit"]


def _quit_wait(before: float, poll: float) -> Callable[[FakePod, Tools], list[str]]:
    def argv(pod: FakePod, tools: Tools) -> list[str]:
        quit_nginx = shlex.join(_quit(pod, tools))
        return _shell(
            f"master=$(cat {PID_FILE}); sleep {before:g}; {quit_nginx}; "
            f"while kill -0 $master 2>/dev/null; do sleep {poll:g}; done"
        )

    return argv


def _roll(to: str) -> Callable[[FakePod, Tools], list[str]]:
    """Settle for five seconds, signal, and wait for the old workers."""

    def argv(_pod: FakePod, _tools: Tools) -> list[str]:
        return _shell(
            f"workers=$(cat /proc/1/task/1/children); sleep 5; {to}; "
            "for worker in $workers; do while kill -0 $worker 2>/dev/null; do sleep 0.1; done; done"
        )

    return argv


def _poll_status(pod: FakePod, _tools: Tools) -> list[str]:
    # Its own connection is one of those counted.
    status = f"curl -s http://127.0.0.1:{pod.port}/stub_status"
    return _shell(f"while ! {status} | grep -q '^Active connections: 1 $'; do sleep 5; done")


def drainmon(*flags: str) -> Hook:
    """drainmon-wait with a timeout of 25 s, and more flags."""

    def argv(_pod: FakePod, tools: Tools) -> list[str]:
        return [str(tools.client), "--socket", str(tools.socket), "--timeout", "25s", *flags]

    return Hook("drainmon", "drainmon-wait", argv)


def by_socket(*flags: str) -> Hook:
    """drainmon-wait without a folder, by the abstract socket in the pod's network namespace."""

    def argv(_pod: FakePod, tools: Tools) -> list[str]:
        return [str(tools.client), f"--socket=@{tools.in_pod_socket}", "--timeout", "25s", *flags]

    return Hook("socket", "drainmon-wait, socket in the pod", argv)


def by_port(**options: str) -> Hook:
    """preStop.httpGet, with a timeout of 25 s and more options of the query.

    As for the kubelet, the hook succeeds on any status and fails without a response.
    """

    def argv(pod: FakePod, tools: Tools) -> list[str]:
        query = urlencode({"timeout": "25s"} | options)
        url = f"http://{pod.address}:{tools.in_pod_port}/drain?{query}"
        return ["curl", "-sS", "--noproxy", "*", url]

    return Hook("port", "httpGet, port in the pod", argv, place=HookPlace.NODE)


def _alone(_pod: FakePod, tools: Tools) -> list[str]:
    return [str(tools.client), "--socket", "/nowhere/drainmon.sock", "--timeout", "25s"]


def roll(way: str, title: str) -> Hook:
    """`drainmon-wait` that only counts, beside a script that replaces nginx's workers."""

    def argv(_pod: FakePod, tools: Tools) -> list[str]:
        wait = [str(tools.client), "--socket", str(tools.socket), "--timeout", "25s", "--no-roll"]
        script = shlex.join([sys.executable, "-m", "bench.rig.roll", way])
        return _shell(f"cd {shlex.quote(str(ROOT))}; {script} & exec {shlex.join(wait)}")

    return Hook(f"roll-{way}", title, argv)


def sleep(seconds: float) -> Hook:
    """The fixed guess: if long enough, keeps all that ends by itself, at a fixed cost."""
    title = f"sleep {seconds:g}"
    return Hook("sleep", title, lambda _pod, _tools: _shell(title))


NONE = Hook("none", "no hook", _none)
QUIT = Hook("quit", "nginx -s quit", _quit)
QUIT_WAIT = Hook("quit-wait", "sleep 3; nginx -s quit; wait", _quit_wait(before=3, poll=0.1))
QUIT_LATE = Hook("quit-late", "sleep 5; nginx -s quit; wait", _quit_wait(before=5, poll=0.1))
ROLL_BY_HUP = Hook("hup", "sleep 5; HUP; old workers gone", _roll("kill -HUP 1"))
ROLL_BY_QUIT = Hook("quit-workers", "sleep 5; QUIT to workers; gone", _roll("kill -QUIT $workers"))
DRAINMON_ALONE = Hook("alone", "drainmon-wait, no daemon", _alone)
QUIT_POLL = Hook("quit-poll", "nginx -s quit; check every second", _quit_wait(before=0, poll=1))
"""Equivalent to ingress-nginx's wait-shutdown, which checks for nginx's processes every second."""
POLL_STATUS = Hook(
    "poll-status", "stub_status every 5 s until none", _poll_status, stub_status=True
)
"""Equivalent to Contour's shutdown manager, which reads Envoy's statistics."""

HOOKS: dict[str, Hook] = {hook.name: hook for hook in (NONE, QUIT, QUIT_WAIT, drainmon())}
"""The demo's hooks."""

HTTP3_HOOKS: dict[str, Hook] = {
    hook.name: hook
    for hook in (
        NONE, QUIT_LATE, sleep(5), ROLL_BY_HUP, ROLL_BY_QUIT, drainmon(), DRAINMON_ALONE,
    )
}  # fmt: skip


def _shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]
