"""Stop an nginx that serves HTTP/3, under load, by each hook: `python -m bench.http3`.

Every client uses HTTP/3; the pod has no TCP connection. Runs once with each stop signal, with and
without quic_host_key. Needs root. Exit status: 0 when drainmon-wait lost nothing, 1 when it did, 2
when the bench could not run.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import table
from bench.endings import clean_up_when_told, exit_status
from bench.rig.clients import LoadSpec
from bench.rig.daemon import running_daemon
from bench.rig.errors import RigError
from bench.rig.hooks import HTTP3_HOOKS, Hook, Tools
from bench.rig.http3.pod import PORT, choose, http3_pod
from bench.rig.nginx import version
from bench.rig.trial import Trial, run_trial
from bench.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]
OURS = {"drainmon", "alone"}

LOAD = LoadSpec(
    port=PORT,
    http3=True,
    short_rate=20,
    short_clients=5,
    keep_alive=4,
    endless=4,
    slow_readers=8,
    slow_upstream=3,
    propagation=4.5,
    patience=5,
)

EXPLANATION = """\
Short requests take a connection each, slow readers seven seconds. Every client learns of the
termination after 0.1 to 4.5 s, and opens no connection from then on. A request that nginx disclaims
by GOAWAY counts as neither lost nor served; endless clients stay until they get a GOAWAY.
"""


@dataclass(frozen=True)
class Variant:
    stop_signal: signal.Signals
    host_key: bool

    @property
    def title(self) -> str:
        return f"{self.stop_signal.name} after the hook" + ", quic_host_key" * self.host_key


VARIANTS = [
    Variant(stop_signal, host_key)
    for stop_signal in (signal.SIGTERM, signal.SIGQUIT)
    for host_key in (False, True)
]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    options = _parser().parse_args(arguments)
    terminal = Terminal()
    return exit_status("http3", terminal, lambda: _bench(options, terminal), "nothing is left")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.http3", description=__doc__)
    parser.add_argument(
        "--hook", choices=HTTP3_HOOKS, action="append", help="only this one (repeatable)"
    )
    parser.add_argument("--stop", choices=["TERM", "QUIT"], help="only this stop signal")
    parser.add_argument("--workers", type=int, default=2)
    return parser


def _bench(options: argparse.Namespace, terminal: Terminal) -> int:
    if os.geteuid() != 0:
        raise RigError("cannot make network namespaces: not root; try sudo")
    nginx = choose()
    hooks = [HTTP3_HOOKS[name] for name in options.hook or HTTP3_HOOKS]
    variants = [
        variant for variant in VARIANTS
        if options.stop in {None, variant.stop_signal.name.removeprefix("SIG")}
    ]  # fmt: skip
    terminal.line(f"nginx {'.'.join(map(str, version(nginx)))}, {options.workers} workers")
    lost = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drainmon-http3-")))
        tools = Tools(ROOT / "build" / "drainmon-wait", folder / "drainmon.sock")
        program = Path(sys.executable).with_name("drainmon")
        stack.enter_context(running_daemon(program, tools.socket, folder / "daemon.log"))
        for variant in variants:
            trials = [_trial(hook, tools, variant, options.workers, terminal) for hook in hooks]
            terminal.line()
            terminal.line(terminal.strong(variant.title))
            terminal.line(table.render(trials, terminal, endless_can_race=False))
            lost += sum(trial.totals.lost() for trial in trials if trial.hook.name in OURS)
    terminal.line()
    terminal.line(EXPLANATION)
    return 1 if lost else 0


def _trial(hook: Hook, tools: Tools, variant: Variant, workers: int, terminal: Terminal) -> Trial:
    terminal.update(f"{hook.title}; {variant.title}")
    return run_trial(
        hook,
        tools,
        make_pod=partial(http3_pod, workers=workers, host_key=variant.host_key),
        load=LOAD,
        stop_signal=variant.stop_signal,
        progress=lambda totals: terminal.update(
            f"{hook.title}; {variant.title}: {totals.requests()} requests, {totals.lost()} lost"
        ),
    )


if __name__ == "__main__":
    clean_up_when_told()
    sys.exit(main())
