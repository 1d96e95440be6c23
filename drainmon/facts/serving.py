"""The requirements of the hooks: a socket to reach, a client to run, names of pods."""

import os
from functools import partial
from pathlib import Path

from drainmon.facts.fact import Fact, Group, Status
from drainmon.facts.ways_in import Ask
from drainmon.procfs.mounts import mount_of, mounts
from drainmon.procfs.net_sockets import SUN_PATH

_fact = partial(Fact, Group.SERVING)


def pod_logs(folder: Path, has_kubelet: bool) -> Fact:
    """Whether the folder whose entries name the pods (<namespace>_<name>_<uid>) can be read.
    Without a kubelet there are no pods to name."""
    try:
        count = sum(entry.name.count("_") == 2 for entry in os.scandir(folder))
    except OSError as error:
        found = f"{folder}: {error.strerror}"
        if not has_kubelet:
            return _fact("pod logs", Status.NOTE, f"{found}; no kubelet here")
        advice = "pods are named by their container's ID: mount the folder (or set --pod-logs)"
        return _fact("pod logs", Status.DEGRADED, found, advice)
    return _fact("pod logs", Status.OK, f"{folder}, {count} pods")


def socket_folder(root: Path, socket: Path) -> Fact:
    """Whether the daemon can listen at `socket`, an absolute path."""
    name = "socket folder"
    try:
        why, found = _no_room(root, socket)
    except OSError as error:
        why, found = "run as root", f"{socket.parent}: {error.strerror}"
    return _fact(name, Status.MISSING if why else Status.OK, found, why)


def _no_room(root: Path, socket: Path) -> tuple[str, str]:
    """Advice, empty when the socket can be made, and what was found."""
    path = root / socket.relative_to("/")
    if len(os.fsencode(socket)) >= SUN_PATH:  # the final zero needs a byte
        return "choose another --socket", f"{socket} is longer than {SUN_PATH - 1} bytes"
    if path.exists() and not path.is_socket():
        return "choose another --socket", f"{socket} is not a socket"
    there = next(folder for folder in path.parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "run as root or choose another --socket"
        return why, f"cannot make {socket} in /{there.relative_to(root)}"
    return "", f"{socket.parent}{'' if there == path.parent else ' can be made'}"


def file_system(root: Path, socket: Path) -> Fact:
    """The file system of the socket's folder. It says nothing about pods: a mount of the folder in
    a container is another one, and runtimes drop noexec for most (`ways_in.folder_in_pods`)."""
    name = "file system"
    try:
        mount = mount_of(mounts(root=root / "proc"), socket.parent)
    except OSError:
        mount = None
    if mount is None:
        return _fact(name, Status.UNKNOWN, "no /proc/self/mountinfo")
    found = f"{mount.kind} on {mount.point}"
    if not mount.noexec:
        return _fact(name, Status.OK, found)
    advice = (
        "pods can run drainmon-wait from there, except with hostUsers: false and containers of"
        " podman"
    )
    return _fact(name, Status.OK, f"{found} is noexec", advice)


def daemon(ask: Ask, socket: Path) -> Fact:
    """Whether a daemon answers. A daemon that is not started is a note only."""
    advice = "hooks count by themselves; start it: drainmon daemon"
    try:
        health = ask("/healthz")
        found = f"version {health['version']}, source {health['source']}"
    except ConnectionError as error:
        return _fact("daemon", Status.NOTE, f"{error}", advice)
    except OSError as error:
        return _fact("daemon", Status.DEGRADED, f"{error}", "hooks count by themselves")
    except (KeyError, TypeError):
        return _fact("daemon", Status.DEGRADED, f"something else answers at {socket}", advice)
    return _fact("daemon", Status.OK, found)
