"""The pods' ways in, and whether pods can run the client from the socket's folder."""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from drainmon.facts.capabilities import Capability
from drainmon.facts.fact import Fact, Group, Status
from drainmon.pods.discovery import find_processes, owner_of
from drainmon.pods.folder_mount import folder_mount
from drainmon.pods.pod_logs import PodLogs

Ask = Callable[[str], Mapping[str, Any]]
"""Returns the daemon's answer to GET of a resource. Raises OSError "cannot X: why"."""

NAMED = 5
"""Pods that are named at most."""

_NOEXEC = "folder (noexec)"

_fact = partial(Fact, Group.SERVING)


def look_at_mounts(folder: Path, names: frozenset[str], pod_logs: Path) -> dict[str, bool]:
    """Whether the socket's folder is noexec, by the label of each pod and container whose nginx
    (processes of these names) has the folder. A service of the host needs no client there."""
    logs = PodLogs(pod_logs, owner_of(os.getpid()))
    found: dict[str, bool] = {}
    for netns, processes in find_processes(names).items():
        pids = {nginx.pid for nginx in processes}
        for master in (nginx for nginx in processes if nginx.parent not in pids):
            with contextlib.suppress(OSError):  # it has ended
                owner = owner_of(master.pid)
                mount = folder_mount(master.pid, folder) if owner.contained else None
                if mount:
                    label = logs.identify(owner).label or f"netns-{netns}"
                    found[label] = found.get(label, False) or mount.noexec
    return found


def folder_in_pods(caps: frozenset[Capability], look: Callable[[], Mapping[str, bool]]) -> Fact:
    """Whether every pod that has the folder can run the client from it."""
    name = "folder in pods"
    if Capability.SYS_PTRACE not in caps:
        return _fact(name, Status.UNKNOWN, "cannot read the mounts of pods", "run as root")
    mounts = look()
    noexec = sorted(label for label, is_noexec in mounts.items() if is_noexec)
    found = f"{len(mounts)} have it"
    if not noexec:
        return _fact(name, Status.OK, found)
    advice = (
        "a hook that runs drainmon-wait from there fails, and its pod is stopped at once: use the"
        " client's image (docs/install.md)"
    )
    return _fact(name, Status.DEGRADED, f"{found}, noexec in {_some(noexec)}", advice)


def ways_in(ask: Ask) -> Fact:
    """How many pods have each way in, by the daemon's answer."""
    name = "ways in"
    try:
        pods = {str(pod["pod"]): list(pod["ways_in"]) for pod in ask("/v1/pods")["pods"]}
    except OSError as error:
        return _fact(name, Status.UNKNOWN, f"{error}", "run as root")
    except (KeyError, TypeError):
        return _fact(name, Status.UNKNOWN, "not in the daemon's answer", "is it an older version?")
    counts = Counter("folder" if way == _NOEXEC else way for ways in pods.values() for way in ways)
    parts = [f"{way} {count}" for way, count in sorted({"folder": 0, **counts}.items())]
    noexec = sorted(label for label, ways in pods.items() if _NOEXEC in ways)
    if noexec:
        at = next(i for i, part in enumerate(parts) if part.startswith("folder "))
        parts[at] += f" ({len(noexec)} noexec: {_some(noexec)})"
    found = f"{len(pods)} {'pod' if len(pods) == 1 else 'pods'}: {', '.join(parts)}"
    if without := sorted(label for label, ways in pods.items() if not ways):
        advice = "their hooks count by themselves; the daemon's log says why"
        return _fact(name, Status.DEGRADED, f"{found}; none: {_some(without)}", advice)
    return _fact(name, Status.OK, found)


def _some(labels: Iterable[str]) -> str:
    first, rest = list(labels)[:NAMED], list(labels)[NAMED:]
    return ", ".join(first) + (f" and {len(rest)} more" if rest else "")
