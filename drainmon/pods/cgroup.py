"""To whom a process belongs, by the text of /proc/<pid>/cgroup; cgroups(7). Pure.

The kernel writes the paths, but who may make cgroups below its own (a privileged container, a user
of the host) chooses the names there. So what counts is what stands furthest out:

- The **outermost pod** is the pod. Below it everything is the pod's own doing, whatever it is
  called. A container *around* it does not matter: there a kubelet runs in a container (kind, k3d).
- The container is the folder directly below the pod's, or, without a pod, the outermost one.
- A systemd unit is the first folder below nothing but slices, and only where there is neither.

A container without a pod around it can still call a folder of its own like somebody's pod, and
nothing in the text tells it from kind's. Therefore owners are told apart by `root`, the path to the
folder that made them what they are: nobody can leave its own. And a name in the node's pod logs is
only for those who are not inside of something else (`within`).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_UID = r"[0-9a-f]{8}(?P<dash>[-_]?)[0-9a-f]{4}(?:(?P=dash)[0-9a-f]{4}){2}(?P=dash)[0-9a-f]{12}"
"""A static pod's is a hash, without dashes; systemd's driver writes `_` for each dash."""

_POD = re.compile(
    rf"(?:(?:[^:/]*-)?kubepods(?:-besteffort|-burstable)?-)?pod(?P<uid>{_UID})(?:\.slice)?"
)
_CONTAINER = re.compile(r"(?:[a-z]+-)*(?P<id>[0-9a-f]{64})(?:\.scope)?")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(?:service|scope)")

_PODMAN_PODS = "libpod_parent"
"""What has a bare ID directly below this is podman's pod, not a container."""


@dataclass(frozen=True)
class Owner:
    """Whose a process is: a container's or a pod's, a systemd unit's, or, when all is empty,
    nobody's that can be told.

    `root` is the path of the cgroup by which that was decided: two processes are of the same pod,
    container or unit when it is equal. `within` is the outermost container, service or scope that
    a pod's cgroup lies in; empty when it lies in none.
    """

    pod_uid: str | None = None
    container_id: str | None = None
    unit: str | None = None
    root: str = ""
    within: str = ""

    @property
    def contained(self) -> bool:
        """Whether it is in a pod or a container, also in one that cannot be told."""
        return bool(self.root) and self.unit is None


def parse_owner(text: str) -> Owner:
    """The owner by all lines, of cgroup v1, v2 or both.

    In a hybrid layout not every hierarchy need know the pod. Lines that contradict each other make
    an owner that is contained and has no name. A line that cannot be read is passed over.
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
    """Whether two pods are named, or two containers, neither of which holds a kubelet."""
    around = {owner.within for owner in pods}
    ids = {owner.container_id for owner in containers if owner.root not in around}
    ids |= {owner.container_id for owner in pods if owner.container_id}
    return len({owner.pod_uid for owner in pods}) > 1 or len(ids) > 1


def _paths(text: str) -> Iterator[str]:
    """The paths of the lines `hierarchy:controllers:path`. No path has a line end in it: the kernel
    refuses such names (cgroup_mkdir)."""
    for line in text.split("\n"):
        fields = line.split(":", 2)
        if len(fields) == 3 and fields[2].startswith("/"):
            yield fields[2]


def _owner(path: str) -> Owner:
    pieces = list(_pieces(path))
    for number, (piece, end) in enumerate(pieces):
        if pod := _POD.fullmatch(piece):
            # With colons, between the pod and the container stands what runs it.
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
    """Each name and where it ends. A colon parts names too: containerd makes
    kubepods-pod<uid>.slice:cri-containerd:<id> when it and the kubelet have different drivers."""
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
