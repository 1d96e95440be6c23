"""Why the daemon shows no pods, judged by the processes of this host."""

import contextlib
import os
from collections import Counter
from pathlib import Path

from drainmon.procfs import process

NAME = "nginx"
TITLE = "nginx: master process"


def why_no_pods(root: Path = process.PROC) -> str:
    """The reason, in one or two sentences. Every user may read names and titles of processes."""
    named, titled = 0, Counter[str]()
    for pid in (int(entry.name) for entry in os.scandir(root) if entry.name.isdigit()):
        with contextlib.suppress(OSError):  # it has ended
            name = process.name(pid, root)
            if name == NAME:
                named += 1
            elif process.title(pid, root).startswith(TITLE):
                titled[name] += 1
    if named:
        return (
            f"no pods: {named} processes are called {NAME}, but the daemon shows none. Either it"
            " may not read them (see `drainmon check`), or its --process has other names."
        )
    if titled:
        others = ", ".join(sorted(titled))
        return f"no pods: nginx runs here under another name (drainmon daemon --process {others})."
    return f"no pods: no process on this node is called {NAME} (drainmon daemon --process)."
