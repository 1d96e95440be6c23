"""The contenders, and the traffic that they meet."""

from dataclasses import dataclass

from bench.rig.clients import LoadSpec
from bench.rig.hooks import (
    NONE,
    POLL_STATUS,
    QUIT,
    QUIT_POLL,
    QUIT_WAIT,
    Hook,
    by_port,
    by_socket,
    drainmon,
    roll,
    sleep,
)


@dataclass(frozen=True)
class Contender:
    """A hook, and the source of the daemon that it uses; None means no daemon."""

    name: str
    title: str
    hook: Hook
    source: str | None = None


@dataclass(frozen=True)
class Mix:
    """Traffic, how long it runs before the pod stops, and the default contenders."""

    title: str
    load: LoadSpec
    contenders: tuple[str, ...]
    warm_up: float = 2.5
    workers: int = 2
    """nginx's."""


CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender("none", NONE.title, NONE),
        Contender("quit", QUIT.title, QUIT),
        Contender("quit-wait", QUIT_WAIT.title, QUIT_WAIT),
        Contender("quit-poll", QUIT_POLL.title, QUIT_POLL),
        Contender("poll-status", POLL_STATUS.title, POLL_STATUS),
        Contender("sleep-15", "sleep 15", sleep(15)),
        Contender("alone", "drainmon-wait alone", drainmon()),
        Contender("procfs", "drainmon, procfs", drainmon(), "procfs"),
        Contender("bcc", "drainmon, bcc", drainmon(), "bcc"),
        Contender("core", "drainmon, core", drainmon(), "core"),
        Contender("core-socket", "core, socket in the pod", by_socket(), "core"),
        Contender("core-port", "core, httpGet", by_port(), "core"),
        Contender("alone-8s", "alone, --min-wait 8s", drainmon("--min-wait", "8s"), None),
        Contender("core-8s", "core, --min-wait 8s", drainmon("--min-wait", "8s"), "core"),
        Contender("roll-quit", "SIGQUIT to the workers", roll("quit", "SIGQUIT to the workers")),
        Contender(
            "roll-quit-hup", "SIGQUIT, then SIGHUP", roll("quit-hup", "SIGQUIT, then SIGHUP")
        ),
        Contender("roll-hup", "SIGHUP to the master", roll("hup", "SIGHUP to the master")),
    )
}
DRAINMON = ("alone", "procfs", "bcc", "core")
WAYS_IN = ("core-socket", "core-port")
ROLLS = ("roll-quit", "roll-quit-hup", "roll-hup")

MIXES: dict[str, Mix] = {
    "full": Mix(
        "clients of every kind, which learn of the deletion after 0.2 to 5 s",
        LoadSpec(streams=4, never_used=3, earliest=0.2, propagation=5.0),
        (
            "none", "quit", "quit-wait", "quit-poll", "poll-status", "sleep-15", *DRAINMON, *WAYS_IN
        ),
    ),
    "used": Mix(
        "the same without streams and without connections that are never used",
        LoadSpec(earliest=0.2, propagation=5.0),
        ("quit-wait", "quit-poll", "poll-status", "sleep-15", *DRAINMON),
    ),
    "sparse": Mix(
        "0.7 short connections per second, until 3 to 7 s after the deletion",
        LoadSpec(
            short_rate=0.7, short_clients=1, keep_alive=0, endless=0, slow_readers=0,
            slow_upstream=0, earliest=3.0, propagation=7.0,
        ),
        ("none", "quit-wait", "poll-status", "sleep-15", *DRAINMON, "alone-8s", "core-8s"),
    ),
    "full-4": Mix(
        "the full mix before four workers",
        LoadSpec(streams=4, never_used=3, earliest=0.2, propagation=5.0),
        ROLLS,
        workers=4,
    ),
    "quick": Mix(
        "a few clients, which learn of the deletion within 0.8 s",
        LoadSpec(
            short_rate=100, keep_alive=2, endless=2, slow_readers=2, slow_upstream=0, streams=2,
            stream_seconds=1.0, never_used=1, slow_rate=2_000_000, slow_stagger=0.5,
            propagation=0.8, patience=1.0,
        ),
        (),
        warm_up=0.7,
    ),
}  # fmt: skip
