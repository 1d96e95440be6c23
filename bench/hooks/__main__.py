"""Stop an nginx pod under load, many times and by each known preStop hook: which hook loses what.

Needs root; everything happens in separate network namespaces. Every hook meets the same traffic,
which follows from the trial's number. Writes trials.jsonl (one line per trial), results.json,
results.md and a chart per table (SVG).

Exit status: 0 done, 1 the bar was not reached, 2 the harness could not run.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.endings import clean_up_when_told, exit_status
from bench.hooks import bar, output
from bench.hooks.contenders import CONTENDERS, MIXES
from bench.hooks.record import Run, Store
from bench.hooks.runner import CLIENT, ROOT, Runner
from bench.rig import nginx as nginx_binaries
from bench.rig.errors import RigError
from bench.terminal import Terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    options = _parser().parse_args(arguments)
    terminal = Terminal()
    return exit_status(
        "hooks", terminal, lambda: _bench(options, terminal), "--resume goes on from here"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.hooks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trials", type=_number, default=bar.TRIALS, help="default: %(default)s")
    parser.add_argument(
        "--jobs",
        type=_number,
        default=2 * (os.cpu_count() or 1),
        help="parallel trials; each takes a quarter of a core (default: %(default)s)",
    )
    parser.add_argument(
        "--hook", choices=CONTENDERS, action="append", help="only this one (repeatable)"
    )
    parser.add_argument("--mix", choices=MIXES, action="append", help="only this traffic")
    parser.add_argument(
        "--nginx", metavar="PATH", action="append", help="default: each that is installed"
    )
    parser.add_argument("--stop-signal", choices=("TERM", "QUIT"), default="TERM")
    parser.add_argument("--out", metavar="DIR", type=Path, default=ROOT / "build" / "hooks")
    parser.add_argument(
        "--resume", action="store_true", help="keep the trials in DIR and run the missing ones"
    )
    parser.add_argument(
        "--bar",
        action="store_true",
        help="the bar for drainmon: "
        f"{', '.join(bar.CONTENDER_NAMES)} under the full mix, and a verdict",
    )
    return parser


def _number(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _bench(options: argparse.Namespace, terminal: Terminal) -> int:
    if os.geteuid() != 0:
        raise RigError("cannot make network namespaces: not root; try sudo")
    if not os.access(CLIENT, os.X_OK):
        raise RigError(f"cannot run drainmon-wait: {CLIENT} is missing; run `make build`")
    if options.bar:
        options.hook, options.mix = list(bar.CONTENDER_NAMES), ["full"]
    store = Store(options.out / "trials.jsonl", resume=options.resume)
    runs = plan(options, terminal)
    try:
        asyncio.run(_until_interrupted(Runner(store, terminal, options.jobs), runs))
    finally:
        output.write(options.out, store.records)
    terminal.line(f"tables, numbers and charts are in {options.out}")
    return _judge(store, runs, options.trials, terminal) if options.bar else 0


def plan(options: argparse.Namespace, terminal: Terminal) -> list[Run]:
    """Every requested trial, contender by contender: each may need its own daemon."""
    binaries = [nginx_binaries.choose(path) for path in options.nginx or ()]
    binaries = binaries or nginx_binaries.installed() or [nginx_binaries.choose()]
    kinds = [
        (str(path), nginx_binaries.version(path), nginx_binaries.has_stub_status(path))
        for path in binaries
    ]
    runs = []
    for name in options.hook or CONTENDERS:
        for mix in options.mix or MIXES:
            if not options.hook and name not in MIXES[mix].contenders:
                continue
            for path, version, stub_status in kinds:
                if CONTENDERS[name].hook.stub_status and not stub_status:
                    title = CONTENDERS[name].title
                    terminal.line(f"left out: {title}: {path} was built without stub_status")
                    continue
                runs += [
                    Run(name, mix, path, version, options.stop_signal, seed)
                    for seed in range(1, options.trials + 1)
                ]
    return runs


async def _until_interrupted(runner: Runner, runs: Sequence[Run]) -> None:
    main_task = asyncio.current_task()
    assert main_task is not None
    interrupted = []

    def stop() -> None:
        interrupted.append(True)
        main_task.cancel()

    for ending in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(ending, stop)
    try:
        await runner.run(runs)
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise


def _judge(store: Store, runs: Sequence[Run], trials: int, terminal: Terminal) -> int:
    wanted = set(runs)
    good, bad = bar.judge([record for record in store.records if record.run in wanted], trials)
    for line in good:
        terminal.line(terminal.good(f"reached      {line}"))
    for line in bad:
        terminal.line(terminal.bad(f"not reached  {line}"))
    return 1 if bad else 0


if __name__ == "__main__":
    clean_up_when_told()
    sys.exit(main())
