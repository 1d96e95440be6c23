"""Names the node's pods by the folders of their logs.

The kubelet makes `<namespace>_<name>_<uid>` (BuildPodLogsDirectory in kuberuntime) before the pod's
first container. Neither name can contain `_`.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from drainmon.pods.cgroup import Owner
from drainmon.pods.identity import Identity, identify

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
"""A label of RFC 1123, which Kubernetes requires: a namespace is one, a pod's name has several."""

_FOLDER = re.compile(
    rf"(?P<namespace>{_LABEL})_(?P<name>{_LABEL}(?:\.{_LABEL})*)_(?P<uid>[0-9a-f-]{{32,36}})"
)
_LONGEST_NAME = 253


def parse_names(folders: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Namespace and name by pod UID. Other folders are skipped, and so are two pods with the same
    UID, which is ambiguous."""
    names: dict[str, tuple[str, str]] = {}
    ambiguous: set[str] = set()
    for folder in folders:
        match = _FOLDER.fullmatch(folder)
        if match is None or len(match["name"]) > _LONGEST_NAME:
            continue
        if match["uid"] in names:
            ambiguous.add(match["uid"])
        names[match["uid"]] = match["namespace"], match["name"]
    return {uid: name for uid, name in names.items() if uid not in ambiguous}


def read_names(folder: Path) -> dict[str, tuple[str, str]]:
    """The same for a folder; empty when it does not exist or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return parse_names(e.name for e in entries if e.is_dir(follow_symlinks=False))
    except OSError:
        return {}


class PodLogs:
    """The names in the folder, which is read again for each unknown pod."""

    def __init__(self, folder: Path, own: Owner) -> None:
        """`own` is the daemon's owner: pods within the same container as the daemon (a node that is
        a container) are those of its kubelet."""
        self._folder = folder
        self._trusted = {"", own.within, own.root}
        self._names: dict[str, tuple[str, str]] = {}

    def identify(self, owner: Owner) -> Identity:
        """The identity of a new pod. A cgroup that only claims to be a pod gets no name."""
        if owner.within not in self._trusted:
            return identify(owner, {})
        if owner.pod_uid and owner.pod_uid not in self._names:
            self._names = read_names(self._folder)
        return identify(owner, self._names)
