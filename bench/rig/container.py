"""Containers without an image: runc on a read-only root file system made of this host's own.

containerd and docker run containers by runc: namespaces, capabilities and above all cgroups match
those of a pod's container, in every hierarchy of this host.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.rig.closing import Closing
from bench.rig.errors import RigError
from bench.rig.netns import Netns

SHARED = ("bin", "etc", "lib", "lib64", "sbin", "usr")
"""Folders of the host's root that a container gets, where they exist."""

CAPABILITIES = ("CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID")

IDS = 65_536
"""Users of a user namespace, as many as a kubelet assigns."""

NAMESPACES = ("pid", "ipc", "uts", "mount")
"""The container's own namespaces. A cgroup namespace would change the container's view of itself,
not the host's."""


class Container(Closing):
    """A running container. Close it, or use it as a context manager.

    `name` is the container ID, 64 hex digits as from any runtime; `argv` is pid 1, run by `user`;
    `cgroup` is its cgroup's path from the root. It is in `netns`, by default the host's. It has the
    folders `mounts` where the host has them, and may write to those in `writable`.

    With `first_id` it is in its own user namespace as with hostUsers: false, whose user 0 is the
    host's `first_id`, and in a network namespace owned by that user namespace; `netns` cannot be
    given then. Raises RigError when it does not start.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cgroup: str,
        netns: Netns | None = None,
        mounts: Sequence[Path] = (),
        writable: Sequence[Path] = (),
        user: int = 0,
        first_id: int | None = None,
    ) -> None:
        self.name = name
        self._user = user
        self._cleanup = ExitStack()
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="drainmon-container-"))
            self._cleanup.callback(shutil.rmtree, self.folder)
            binds = [_bind(path, "ro") for path in mounts] + [_bind(p, "rw") for p in writable]
            document = self._document(argv, cgroup, netns, binds)
            if first_id is not None:
                self._map_users(document, first_id)
            (self.folder / "config.json").write_text(json.dumps(document))
            self._start()
        except BaseException:
            self.close()
            raise

    def exec(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start `argv` (an absolute path) in the container, as a hook."""
        user = f"--user={self._user}:{self._user}"
        return subprocess.Popen(
            self._runc("exec", user, self.name, *argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def log(self) -> str:
        """What the container printed."""
        return (self.folder / "log").read_text(errors="replace")

    def close(self) -> None:
        """Kill it and remove all but its cgroup's parents; a second call does nothing."""
        self._cleanup.close()

    def _document(
        self, argv: Sequence[str], cgroup: str, netns: Netns | None, binds: list[dict[str, Any]]
    ) -> dict[str, Any]:
        root = self.folder / "rootfs"
        (root / "tmp").mkdir(parents=True)
        for name in SHARED:
            path = Path("/") / name
            if path.is_symlink():
                (root / name).symlink_to(path.readlink())
            elif path.exists():
                binds = [_bind(path, "ro"), *binds]
        namespaces = [{"type": kind} for kind in NAMESPACES]
        if netns:
            namespaces.append({"type": "network", "path": str(netns.path)})
        capabilities = dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES)
        return {
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "process": {
                "args": list(argv),
                "cwd": "/",
                "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
                "user": {"uid": self._user, "gid": self._user},
                "capabilities": capabilities,
                "noNewPrivileges": True,
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/run", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                *binds,
            ],
            "linux": {"namespaces": namespaces, "cgroupsPath": cgroup},
        }

    def _map_users(self, document: dict[str, Any], first_id: int) -> None:
        mapping = {"containerID": 0, "hostID": first_id, "size": IDS}
        linux = document["linux"]
        linux["namespaces"] += [{"type": "user"}, {"type": "network"}]
        linux |= {"uidMappings": [mapping], "gidMappings": [mapping]}
        # The container's root creates the mount points, so everyone may reach them.
        self.folder.chmod(0o755)
        for path in (self.folder / "rootfs", *(self.folder / "rootfs").rglob("*")):
            os.chown(path, first_id, first_id, follow_symlinks=False)

    def _start(self) -> None:
        pid_file = self.folder / "pid"
        argv = self._runc("run", "--detach", f"--pid-file={pid_file}", f"--bundle={self.folder}")
        self._cleanup.callback(
            subprocess.run, self._runc("delete", "--force", self.name), capture_output=True
        )
        with (self.folder / "log").open("wb") as log:
            done = subprocess.run(
                [*argv, self.name], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
        if done.returncode:
            raise RigError(f"cannot start a container: {self.log().strip() or 'runc says nothing'}")
        self.pid = int(pid_file.read_text())

    def _runc(self, command: str, *arguments: str) -> list[str]:
        # The state is in the folder: nothing is left on the host, and IDs cannot clash.
        return ["runc", f"--root={self.folder / 'state'}", command, *arguments]


def _bind(path: Path, how: str) -> dict[str, Any]:
    return {
        "destination": str(path),
        "type": "bind",
        "source": str(path),
        "options": ["rbind", how],
    }
