"""Stop an nginx pod under load, once per preStop hook, and count what each hook loses.

Needs root; everything happens in separate network namespaces. Exit status: 0 when drainmon-wait
lost nothing, 1 when it did, 2 when the demo could not run.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import table
from bench.endings import clean_up_when_told, exit_status
from bench.rig import nginx as nginx_binaries
from bench.rig.daemon import healthy, running_daemon
from bench.rig.errors import RigError
from bench.rig.hooks import HOOKS, Hook, Tools
from bench.rig.outcome import Kind, Totals
from bench.rig.trial import Trial, run_trial
from bench.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]

EXPLANATION = """\
As in a cluster, each client learns of the termination after its own delay (0.1 to 5 s). The stop
signal and the end of the pod's network follow the hook at once; "seconds" is the time until then.
Refused: could not connect; reset: got no reply; truncated: got a part. Endless clients never close
their connection, so only nginx itself can end it without a loss.
"""
RACE_NOTE = """\
This nginx has no keepalive_min_timeout (1.27.4 has): it closes idle keep-alive connections without
notice when its workers roll, and a request already on its way is reset: no hook can prevent that.
Such losses of endless clients are counted "by the race", if there are any.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    options = _parser().parse_args(arguments)
    terminal = Terminal()
    return exit_status("demo", terminal, lambda: _demo(options, terminal), "nothing is left behind")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--nginx", metavar="PATH", help="default: $NGINX, else the newest found")
    parser.add_argument(
        "--hook", choices=HOOKS, action="append", help="only this one (repeatable); default: all"
    )
    parser.add_argument(
        "--client",
        metavar="PATH",
        type=Path,
        default=ROOT / "build" / "drainmon-wait",
        help="the drainmon-wait to run (default: %(default)s)",
    )
    parser.add_argument(
        "--source", default="auto", help="the daemon's source: auto, core, bcc or procfs"
    )
    daemon = parser.add_mutually_exclusive_group()
    daemon.add_argument(
        "--daemon",
        metavar="PATH",
        type=Path,
        default=Path(sys.executable).with_name("drainmon"),
        help="the drainmon to start (default: %(default)s)",
    )
    daemon.add_argument("--socket", metavar="PATH", type=Path, help="use the daemon at this socket")
    daemon.add_argument(
        "--no-daemon", action="store_true", help="run without a daemon: drainmon-wait counts alone"
    )
    return parser


def _demo(options: argparse.Namespace, terminal: Terminal) -> int:
    if os.geteuid() != 0:
        raise RigError("cannot make network namespaces: not root; try sudo")
    nginx = nginx_binaries.choose(options.nginx)
    version = nginx_binaries.version(nginx)
    hooks = [HOOKS[name] for name in options.hook or HOOKS]
    drainmon = HOOKS["drainmon"]
    if drainmon in hooks and not os.access(options.client, os.X_OK):
        raise RigError(f"cannot run drainmon-wait: {options.client} is missing; run `make build`")

    with ExitStack() as stack:
        socket = options.socket
        if socket is not None and not healthy(socket):
            raise RigError(f"cannot use the daemon: {socket} does not answer")
        if socket is None:
            directory = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="drainmon-demo-"))
            )
            socket = directory / "drainmon.sock"
            if drainmon in hooks and not options.no_daemon:
                _start_daemon(stack, options.daemon, socket, options.source)
        tools = Tools(options.client.resolve(), socket.resolve())
        terminal.line(f"nginx {'.'.join(map(str, version))}, SIGTERM after the hook, grace 30 s")
        trials = [
            _trial(hook, tools, nginx, f"[{number}/{len(hooks)}]", terminal)
            for number, hook in enumerate(hooks, 1)
        ]

    endless_can_race = version < nginx_binaries.KEEPALIVE_MIN_TIMEOUT
    terminal.line()
    terminal.line(table.render(trials, terminal, endless_can_race=endless_can_race))
    terminal.line()
    terminal.line(EXPLANATION + (RACE_NOTE if endless_can_race else ""))
    return verdict(trials, endless_can_race=endless_can_race, terminal=terminal)


def _start_daemon(stack: ExitStack, program: Path, socket: Path, source: str) -> None:
    log, flags = socket.with_name("daemon.log"), ("--source", source)
    stack.enter_context(running_daemon(program, socket, log, flags))


def _trial(hook: Hook, tools: Tools, nginx: Path, place: str, terminal: Terminal) -> Trial:
    started = time.monotonic()

    def progress(totals: Totals) -> None:
        seconds = time.monotonic() - started
        terminal.update(
            f"{place} {hook.title}: {seconds:.0f} s, "
            f"{totals.requests()} requests, {totals.lost()} lost"
        )

    terminal.update(f"{place} {hook.title}")
    trial = run_trial(hook, tools, nginx=nginx, progress=progress)
    terminal.line(
        f"{place} {hook.title}: {trial.totals.lost()} of {trial.totals.requests()} lost, "
        f"gone after {trial.termination.seconds:.1f} s"
    )
    return trial


def verdict(trials: Sequence[Trial], *, endless_can_race: bool, terminal: Terminal) -> int:
    """0 when drainmon-wait lost nothing, apart from endless clients' races if nginx can race."""
    for trial in trials:
        if trial.hook.name == "drainmon":
            excused = trial.totals.races[Kind.ENDLESS] if endless_can_race else 0
            if trial.totals.lost() > excused:
                terminal.line(terminal.bad("drainmon-wait lost requests; its output:"))
                terminal.line(trial.termination.output.rstrip())
                return 1
    return 0


if __name__ == "__main__":
    clean_up_when_told()
    sys.exit(main())
