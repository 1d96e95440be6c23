"""One trial: a fresh pod under load is stopped, and every request is accounted for."""

import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.rig.clients import LoadSpec
from bench.rig.hooks import Hook, Tools
from bench.rig.netns import Netns, fresh_netns
from bench.rig.outcome import Totals
from bench.rig.pod import FakePod, Termination
from bench.rig.traffic import Traffic


@dataclass(frozen=True)
class Trial:
    """The cost of one termination."""

    hook: Hook
    totals: Totals
    losses: list[dict[str, Any]]
    """The first lost requests: kind, what, race, seconds after the termination's start."""
    termination: Termination
    ideal_end: float
    """The pod's earliest end without a loss; time.monotonic()."""
    lag: float
    """The load's greatest delay in seconds."""
    pod_log: str


def run_trial(
    hook: Hook,
    tools: Tools,
    *,
    nginx: Path | None = None,
    make_pod: Callable[[Netns], AbstractContextManager[FakePod]] | None = None,
    client: Netns | None = None,
    load: LoadSpec | None = None,
    warm_up: float = 2.5,
    workers: int = 2,
    stop_signal: signal.Signals = signal.SIGTERM,
    grace: float = 30.0,
    progress: Callable[[Totals], None] | None = None,
) -> Trial:
    """Run `load` (its address is filled in, and its port unless it is HTTP/3's) against a pod of
    `make_pod`, by default one with `nginx`, that is stopped by `hook`. The clients are in `client`,
    by default a new namespace.

    Raises RigError when the rig itself fails.
    """
    make_pod = make_pod or partial(FakePod, nginx=nginx, workers=workers)
    load = load or LoadSpec()
    with (
        nullcontext(client) if client else fresh_netns("drainmon-client") as here,
        make_pod(here) as pod,
    ):
        spec = replace(
            load,
            address=pod.address,
            port=load.port if load.http3 else pod.port,
            upstream_port=pod.upstream_port,
        )
        with Traffic(here, spec, progress) as traffic:
            time.sleep(warm_up)
            traffic.terminate()
            argv = hook.argv(pod, tools)
            termination = pod.terminate(argv, stop_signal, grace, place=hook.place)
            traffic.gone()
            totals = traffic.wait()
            assert traffic.ideal_end is not None
            return Trial(
                hook,
                totals,
                traffic.losses,
                termination,
                traffic.ideal_end,
                traffic.lag,
                pod.log(),
            )
