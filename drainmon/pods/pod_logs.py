"""What the node's pods are called, by the folders that the kubelet makes for their logs.

`<namespace>_<name>_<uid>` (BuildPodLogsDirectory of the kubelet's kuberuntime), made before the
pod's first container. Neither of Kubernetes' names can have `_` in it.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from drainmon.pods.cgroup import Owner
from drainmon.pods.identity import Identity, identify

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
"""RFC 1123, as Kubernetes wants it of names: a namespace is one, a pod's name has several."""

_FOLDER = re.compile(
    rf"(?P<namespace>{_LABEL})_(?P<name>{_LABEL}(?:\.{_LABEL})*)_(?P<uid>[0-9a-f-]{{32,36}})"
)
_LONGEST_NAME = 253


def parse_names(folders: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Namespace and name by pod UID. What is no such folder's name is passed over, and so are two
    pods with the same UID: nobody could tell which it is."""
    names: dict[str, tuple[str, str]] = {}
    doubtful: set[str] = set()
    for folder in folders:
        match = _FOLDER.fullmatch(folder)
        if match is None or len(match["name"]) > _LONGEST_NAME:
            continue
        if match["uid"] in names:
            doubtful.add(match["uid"])
        names[match["uid"]] = match["namespace"], match["name"]
    return {uid: name for uid, name in names.items() if uid not in doubtful}


def read_names(folder: Path) -> dict[str, tuple[str, str]]:
    """The same of a real folder; nothing when it is not there or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return parse_names(e.name for e in entries if e.is_dir(follow_symlinks=False))
    except OSError:
        return {}


class PodLogs:
    """The folder, read again when a pod turns up that it did not have."""

    def __init__(self, folder: Path, own: Owner) -> None:
        """`own` is the daemon's own owner: pods inside of something in which the daemon is too (a
        node that is a container) are those of its kubelet."""
        self._folder = folder
        self._trusted = {"", own.within, own.root}
        self._names: dict[str, tuple[str, str]] = {}

    def identify(self, owner: Owner) -> Identity:
        """The identity of a new pod. Who only says that it is a pod gets no name for it."""
        if owner.within not in self._trusted:
            return identify(owner, {})
        if owner.pod_uid and owner.pod_uid not in self._names:
            self._names = read_names(self._folder)
        return identify(owner, self._names)
