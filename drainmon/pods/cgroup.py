"""Finds the owner of a process in the text of /proc/<pid>/cgroup; cgroups(7). Pure.

The kernel writes the paths, but a privileged container or a user of the host chooses the names of
cgroups below its own. So the outermost name decides:

- The **outermost pod** is the pod. Everything below it is the pod's own, whatever its name. A
  container *around* it does not matter: there a kubelet runs in a container (kind, k3d).
- The container is the folder directly below the pod's, or, without a pod, the outermost one.
- A systemd unit is the first folder below slices only, and only without pod and container.

A container without a pod around it can still name a folder of its own like another's pod, and the
text does not distinguish it from kind's. Therefore owners are compared by `root`, the path to the
folder that decided: no process can leave its own. And only owners outside of any other container,
service or scope (`within`) get a name from the node's pod logs.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_UID = r"[0-9a-f]{8}(?P<dash>[-_]?)[0-9a-f]{4}(?:(?P=dash)[0-9a-f]{4}){2}(?P=dash)[0-9a-f]{12}"
"""The UID of a static pod is a hash, without dashes; systemd's driver writes `_` for each dash."""

_POD = re.compile(
    rf"(?:(?:[^:/]*-)?kubepods(?:-besteffort|-burstable)?-)?pod(?P<uid>{_UID})(?:\.slice)?"
)
_CONTAINER = re.compile(r"(?:[a-z]+-)*(?P<id>[0-9a-f]{64})(?:\.scope)?")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(?:service|scope)")

_PODMAN_PODS = "libpod_parent"
"""A folder with a bare ID directly below this one is podman's pod, not a container."""


@dataclass(frozen=True)
class Owner:
    """The owner of a process: a pod, a container or a systemd unit; unknown when all is empty.

    `root` is the path of the cgroup that decided: processes with equal roots have the same owner.
    `within` is the outermost container, service or scope around a pod's cgroup; empty without one.
    """

    pod_uid: str | None = None
    container_id: str | None = None
    unit: str | None = None
    root: str = ""
    within: str = ""

    @property
    def contained(self) -> bool:
        """Whether the process is in a pod or a container, also in an ambiguous one."""
        return bool(self.root) and self.unit is None


def parse_owner(text: str) -> Owner:
    """The owner by all lines, of cgroup v1, v2 or both.

    In a hybrid layout some hierarchies may not have the pod. Contradictory lines make an owner that
    is contained and has no name. Malformed lines are skipped.
    """
    owners = [_owner(path) for path in _paths(text)]
    pods = [owner for owner in owners if owner.pod_uid]
    containers = [owner for owner in owners if owner.container_id and not owner.pod_uid]
    if _contradictory(pods, containers):
        return Owner(root=" ".join(sorted({owner.root for owner in pods + containers})))
    if pods:
        return min(pods, key=lambda owner: (owner.container_id is None, len(owner.within)))
    return next(iter(containers), None) or next((o for o in owners if o.unit), Owner())


def _contradictory(pods: list[Owner], containers: list[Owner]) -> bool:
    """Whether there are two pods, or two containers, neither of which contains a kubelet."""
    around = {owner.within for owner in pods}
    ids = {owner.container_id for owner in containers if owner.root not in around}
    ids |= {owner.container_id for owner in pods if owner.container_id}
    return len({owner.pod_uid for owner in pods}) > 1 or len(ids) > 1


def _paths(text: str) -> Iterator[str]:
    """The paths of the lines `hierarchy:controllers:path`. Paths have no newlines: the kernel
    refuses such names (cgroup_mkdir)."""
    for line in text.split("\n"):
        fields = line.split(":", 2)
        if len(fields) == 3 and fields[2].startswith("/"):
            yield fields[2]


def _owner(path: str) -> Owner:
    pieces = list(_pieces(path))
    for number, (piece, end) in enumerate(pieces):
        if pod := _POD.fullmatch(piece):
            # With colons, the runtime's name is between the pod and the container.
            below = number + (2 if path[end : end + 1] == ":" else 1)
            container = _CONTAINER.fullmatch(pieces[below][0]) if below < len(pieces) else None
            return Owner(
                pod_uid=pod["uid"].replace("_", "-"),
                container_id=container["id"] if container else None,
                root=path[:end],
                within=_surrounding(path, pieces[:number]),
            )
    above = ""
    for piece, end in pieces:
        container = _CONTAINER.fullmatch(piece)
        if container and not (above == _PODMAN_PODS and container["id"] == piece):
            return Owner(container_id=container["id"], root=path[:end])
        above = piece
    return _unit(path)


def _pieces(path: str) -> Iterator[tuple[str, int]]:
    """Each name and where it ends. Colons separate names, too: containerd makes
    kubepods-pod<uid>.slice:cri-containerd:<id> when its driver is not the kubelet's."""
    for match in re.finditer(r"[^/:]+", path):
        yield match[0], match.end()


def _surrounding(path: str, pieces: Iterable[tuple[str, int]]) -> str:
    for piece, end in pieces:
        if _CONTAINER.fullmatch(piece) or piece.endswith((".service", ".scope")):
            return path[:end]
    return ""


def _unit(path: str) -> Owner:
    for match in re.finditer(r"[^/]+", path):
        if match[0] == ".." or match[0].endswith(".slice"):
            continue
        if not _UNIT.fullmatch(match[0]):
            break
        return Owner(unit=match[0], root=path[: match.end()])
    return Owner()
