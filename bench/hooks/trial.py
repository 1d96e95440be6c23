"""One trial in its own process: `python -m bench.hooks.trial RUN CLIENT SOCKET NAME`.

RUN is a `Run` as JSON, NAME the name of the daemon's socket in the pod. Prints its `Record` as a
line of JSON; exit status 1 and a line on standard error when the rig failed.
"""

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from bench.endings import clean_up_when_told
from bench.hooks.contenders import CONTENDERS, MIXES
from bench.hooks.record import Record, Run
from bench.rig.errors import RigError
from bench.rig.hooks import Tools
from bench.rig.trial import run_trial

OUTPUT_LINES = 20


def measure(run: Run, tools: Tools) -> Record:
    """The trial's record. Raises RigError when the rig failed."""
    mix = MIXES[run.mix]
    trial = run_trial(
        CONTENDERS[run.contender].hook,
        tools,
        nginx=Path(run.nginx),
        load=replace(mix.load, seed=run.seed),
        warm_up=mix.warm_up,
        workers=mix.workers,
        stop_signal=signal.Signals[f"SIG{run.stop_signal}"],
    )
    end = trial.termination
    said = end.output.splitlines()[-OUTPUT_LINES:] if trial.totals.lost() else []
    return Record(
        run=run,
        totals=trial.totals,
        losses=trial.losses,
        seconds=end.nginx_exit - end.hook_start,
        ideal_end=trial.ideal_end - end.hook_start,
        hook_exit=end.hook_exit,
        killed=end.killed,
        lag=trial.lag,
        output="\n".join(said),
    )


def main() -> int:
    clean_up_when_told()
    run, client, socket, name = sys.argv[1:]
    given = json.loads(run)
    given["version"] = tuple(given["version"])
    try:
        record = measure(Run(**given), Tools(Path(client), Path(socket), name))
    except RigError as error:
        print(error, file=sys.stderr)
        return 1
    print(record.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
