"""The preStop hooks people use, and drainmon's, as the command lines a kubelet would run."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.rig.pod import PID_FILE, FakePod


@dataclass(frozen=True)
class Tools:
    """Where drainmon is: the client's binary and the daemon's socket, as seen from inside a pod."""

    client: Path
    socket: Path


@dataclass(frozen=True)
class Hook:
    """`argv` makes the command line for a pod; None means no hook at all."""

    name: str
    title: str
    argv: Callable[[FakePod, Tools], list[str] | None]


def _none(_pod: FakePod, _tools: Tools) -> None:
    return None


def _quit(pod: FakePod, _tools: Tools) -> list[str]:
    return [*pod.nginx_argv, "-s", "quit"]


def _sleep_quit_wait(pod: FakePod, tools: Tools) -> list[str]:
    quit_nginx = shlex.join(_quit(pod, tools))
    return _shell(
        f"master=$(cat {PID_FILE}); sleep 3; {quit_nginx}; "
        "while kill -0 $master 2>/dev/null; do sleep 0.1; done"
    )


def _drainmon_wait(_pod: FakePod, tools: Tools) -> list[str]:
    return [str(tools.client), "--socket", str(tools.socket), "--timeout", "25s"]


def sleep(seconds: float) -> Hook:
    """The fixed guess: long enough loses nothing that ends by itself, and always costs as much."""
    title = f"sleep {seconds:g}"
    return Hook("sleep", title, lambda _pod, _tools: _shell(title))


HOOKS: dict[str, Hook] = {
    hook.name: hook
    for hook in (
        Hook("none", "no hook", _none),
        Hook("quit", "nginx -s quit", _quit),
        Hook("quit-wait", "sleep 3; nginx -s quit; wait", _sleep_quit_wait),
        Hook("drainmon", "drainmon-wait", _drainmon_wait),
    )
}


def _shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]
