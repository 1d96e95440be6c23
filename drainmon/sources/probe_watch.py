"""Recognises probes of draining pods, for sources without a kernel program that does."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Collection
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple, TypeVar

import psutil

from drainmon.kernel import netns
from drainmon.kernel.diag_message import Reader
from drainmon.kernel.sock_diag import HELD, SockDiag
from drainmon.kernel.tcp_samples import TcpSamples
from drainmon.pods.pod import Pod
from drainmon.procfs import process
from drainmon.procfs.net_tcp import MAPPED
from drainmon.sources.diag_reading import ends_of
from drainmon.sources.host_probes import Accepted, HostProbes
from drainmon.sources.reading import Ends

log = logging.getLogger(__name__)

ASKED_AGAIN = 1.0
"""Seconds for which the answer whether a process is probing is cached."""

T = TypeVar("T")


class _Followed(NamedTuple):
    netns: int
    ports: frozenset[int]
    addresses: frozenset[bytes]
    accepted: list[Accepted]


class ProbeWatch:
    """Follows the connections of probing processes, which have one of the names and are in one of
    the host's namespaces, while pods are followed. All methods are thread-safe."""

    def __init__(self, names: tuple[str, ...], host: frozenset[int]) -> None:
        self._names = {name[: process.COMM] for name in names}
        self._host = host
        self._lock = threading.Lock()
        self._samples: TcpSamples | None = None
        self._ports: frozenset[int] = frozenset()
        self._pods: dict[int, _Followed] = {}
        self._asked: dict[int, tuple[float, bool]] = {}
        self._probes = HostProbes(self._is_probe)
        self.lost = 0

    def start(self) -> None:
        """Open the samples. Raises OSError "cannot trace connections: why"; then no connection is
        recognised as a probe."""
        if self._names and self._host:
            self._samples = TcpSamples()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._samples:
            self._samples.close()
            self._samples = None
        self._probes.forget()

    def follow(self, pod: Pod) -> None:
        """Follow the pod's probes. Blocks for some milliseconds when the pod is new or has other
        ports."""
        with self._lock:
            known = self._pods.get(pod.number)
            if self._samples is None or (known and known.ports == pod.ports):
                return
            addresses = _addresses(pod, self._host) if known is None else known.addresses
            followed = _Followed(pod.netns, pod.ports, addresses, known.accepted if known else [])
            self._pods[pod.number] = followed
            try:
                self._set_ports()
            except OSError as error:
                log.warning(
                    "cannot recognise probes", extra={"source": "procfs", "error": str(error)}
                )
                self._close()
                return
            self._find_open()

    def unfollow(self, number: int) -> None:
        """Stop following the pod."""
        with self._lock:
            if self._pods.pop(number, None):
                self._set_ports()

    def _set_ports(self) -> None:
        ports = frozenset().union(*(pod.ports for pod in self._pods.values()))
        if self._samples and ports != self._ports:
            self._read()
            self._ports = ports
            if not self._samples.follow(ports):
                self._probes.forget()

    def accepted(self, number: int) -> list[Accepted]:
        """The probes that a pod has accepted since the last call, by the samples."""
        with self._lock:
            followed = self._pods.get(number)
            if followed is None:
                return []
            self._read()
            found = followed.accepted[:]
            followed.accepted.clear()
            return found

    @property
    def connections(self) -> Collection[Ends]:
        """The ends of probes' connections, from the pods' view."""
        return self._probes.connections

    def _read(self) -> None:
        if self._samples is None:
            return
        transitions, lost = self._samples.read()
        if lost:
            self.lost += 1
            self._probes.forget()
        for one in self._probes.accepted(transitions):
            pods = [pod for pod in self._pods.values() if one.ends[0] in pod.addresses]
            # An address of two namespaces is ambiguous. In one namespace the probe counts for every
            # pod, as passive opens do.
            if len({pod.netns for pod in pods}) == 1:
                for pod in pods:
                    pod.accepted.append(one)

    def _is_probe(self, pid: int) -> bool:
        now = time.monotonic()
        asked, answer = self._asked.get(pid, (0.0, False))
        if now - asked > ASKED_AGAIN:
            if len(self._asked) > 1000:
                self._asked.clear()
            answer = self._has_name(pid)
            self._asked[pid] = now, answer
        return answer

    def _has_name(self, pid: int) -> bool:
        try:
            return process.name(pid) in self._names and process.netns_inode(pid) in self._host
        except OSError:  # it has ended
            return False

    def _find_open(self) -> None:
        """Add the existing connections of probing processes."""
        for pid in psutil.pids():
            if self._has_name(pid):
                with contextlib.suppress(OSError):
                    self._find_open_of(pid)

    def _find_open_of(self, pid: int) -> None:
        held = process.socket_inodes(pid)
        reader = Reader()
        diag = _in_netns_of(pid, SockDiag)
        try:
            for part in diag.tcp(HELD):
                for fields in reader.read(part):
                    if fields[11] in held:
                        local, local_port, remote, remote_port = ends_of(fields)
                        self._probes.add((remote, remote_port, local, local_port))
        finally:
            diag.close()


def _in_netns_of(pid: int, function: Callable[[], T]) -> T:
    fd = process.open_netns(pid)
    try:
        return netns.call_in(fd, function)
    finally:
        os.close(fd)


def _addresses(pod: Pod, host: frozenset[int]) -> frozenset[bytes]:
    """The pod's addresses, 16 bytes each; outside of the host's namespace without loopback, which
    every namespace has."""
    for nginx in pod.processes:
        with contextlib.suppress(OSError):
            found = _in_netns_of(nginx.pid, psutil.net_if_addrs)
            packed = (_packed(one.family, one.address) for each in found.values() for one in each)
            return frozenset(
                one for one in packed if one and (pod.netns in host or not _is_loopback(one))
            )
    return frozenset()


def _packed(family: int, address: str) -> bytes:
    if family == AF_INET:
        return MAPPED + inet_pton(AF_INET, address)
    if family == AF_INET6:
        return inet_pton(AF_INET6, address.partition("%")[0])
    return b""


def _is_loopback(address: bytes) -> bool:
    return address == bytes(15) + b"\1" or address[:13] == MAPPED + b"\x7f"
