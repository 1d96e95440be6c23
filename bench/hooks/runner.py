"""Runs trials in parallel, each in its own process and namespaces."""

import asyncio
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from bench.hooks.contenders import CONTENDERS, Contender
from bench.hooks.record import Record, Run, Store
from bench.rig.daemon import running_daemon
from bench.rig.errors import RigError
from bench.rig.hooks import Tools
from bench.rig.netns import add_address, fresh_netns
from bench.rig.pod import FIRST_CLIENT_ADDRESS, HookPlace
from bench.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
DAEMON = Path(sys.executable).with_name("drainmon")
CLIENT = ROOT / "build" / "drainmon-wait"


class Runner:
    """Runs the missing trials of a plan, `jobs` at a time."""

    def __init__(self, store: Store, terminal: Terminal, jobs: int) -> None:
        self.store = store
        self.terminal = terminal
        self.places = asyncio.Semaphore(jobs)
        self.running = 0
        self.done = 0
        self.total = 0

    async def run(self, plan: Sequence[Run]) -> None:
        """Run contender by contender, so that only one daemon runs at a time.

        Raises RigError at the first trial whose rig failed; finished trials are in the store.
        """
        missing = self.store.missing(plan)
        self.total, self.done = len(plan), len(plan) - len(missing)
        for name, runs in itertools.groupby(missing, lambda run: run.contender):
            with _tools() as tools, _daemon_for(CONTENDERS[name], tools):
                try:
                    async with asyncio.TaskGroup() as group:
                        for run in runs:
                            group.create_task(self._trial(run, tools))
                except* RigError as errors:
                    raise _first(errors) from None

    async def _trial(self, run: Run, tools: Tools) -> None:
        async with self.places:
            self.running += 1
            self._show(run)
            record = await _measure(run, tools)
            self.running -= 1
        self.done += 1
        self.store.add(record)
        self.terminal.line(f"[{self.done}/{self.total}] {describe(record)}")
        self._show(run)

    def _show(self, run: Run) -> None:
        title = CONTENDERS[run.contender].title
        self.terminal.update(f"[{self.done}/{self.total}] {title}: {self.running} trials running")


def describe(record: Record) -> str:
    """One line about a trial."""
    run = record.run
    version = ".".join(map(str, run.version))
    races = f" ({record.races} by the race)" if record.races else ""
    return (
        f"nginx {version}, {run.mix}, seed {run.seed}, {CONTENDERS[run.contender].title}: "
        f"{record.totals.lost()} of {record.totals.requests()} lost{races}, gone after "
        f"{record.seconds:.1f} s, {record.beyond:+.2f} s beyond the ideal end"
    )


@contextmanager
def _tools() -> Iterator[Tools]:
    """Tools with their own folder, and a socket name derived from it."""
    with tempfile.TemporaryDirectory(prefix="drainmon-hooks-") as folder:
        yield Tools(CLIENT, Path(folder, "drainmon.sock"), Path(folder).name)


@contextmanager
def _daemon_for(contender: Contender, tools: Tools) -> Iterator[None]:
    """Run the contender's daemon, if it has one. For hooks that run on the node, the daemon has a
    port in the pods and an address that every trial's client has too: that client is its node."""
    if contender.source is None:
        yield
        return
    folder, program = tools.socket.parent, DAEMON
    flags = ["--source", contender.source, "--in-pod-socket", tools.in_pod_socket]
    with ExitStack() as stack:
        if contender.hook.place is HookPlace.NODE:
            node = stack.enter_context(fresh_netns("drainmon-node"))
            add_address(node, "lo", f"{FIRST_CLIENT_ADDRESS}/32")
            program = node.wrap(DAEMON, folder / "daemon")
            flags += ["--in-pod-port", str(tools.in_pod_port)]
        stack.enter_context(running_daemon(program, tools.socket, folder / "daemon.log", flags))
        yield


async def _measure(run: Run, tools: Tools) -> Record:
    where = (str(tools.client), str(tools.socket), tools.in_pod_socket)
    argv = ["-m", "bench.hooks.trial", json.dumps(asdict(run)), *where]
    trial = await asyncio.create_subprocess_exec(
        sys.executable,
        *argv,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, complaint = await trial.communicate()
    finally:
        if trial.returncode is None:  # interrupted: let it clean up
            trial.terminate()
            await trial.wait()
    if trial.returncode:
        raise RigError(f"cannot run a trial of {run.contender}: {complaint.decode().strip()}")
    return Record.from_json(output.decode())


def _first(errors: BaseExceptionGroup[RigError]) -> RigError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
