"""A running daemon's BPF maps, read and tampered with as a fault would."""

import json
import subprocess
from pathlib import Path
from typing import Any

from drainmon.kernel.wire import PortCounters, PortKey
from drainmon.pods.discovery import live_namespaces


def _bpftool(*arguments: str) -> Any:
    done = subprocess.run(["bpftool", "-j", *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "null")


class DaemonMaps:
    """The maps that the daemon of a pid holds."""

    def __init__(self, pid: int) -> None:
        self._ids: dict[str, int] = {}
        for info in Path(f"/proc/{pid}/fdinfo").iterdir():
            try:
                fields = dict(line.split(":", 1) for line in info.read_text().splitlines())
            except FileNotFoundError:  # closed since the folder was read
                continue
            if "map_id" in fields:
                number = int(fields["map_id"])
                self._ids[_bpftool("map", "show", "id", str(number))["name"]] = number

    def counters(self, netns: int, port: int) -> PortCounters:
        found = _bpftool("map", "lookup", "id", self._id("ports"), "key", *_key(netns, port))
        return PortCounters.from_buffer_copy(bytes(int(byte, 16) for byte in found["value"]))

    def set_counters(self, netns: int, port: int, counters: PortCounters) -> None:
        value = _hex(bytes(counters))
        _bpftool("map", "update", "id", self._id("ports"), "key", *_key(netns, port),
                 "value", *value)  # fmt: skip

    def is_watched(self, netns: int, port: int) -> bool:
        entries = _bpftool("map", "dump", "id", self._id("watches"))
        key = _key(netns, port)[1:]
        return any([byte[2:] for byte in entry["key"]] == key for entry in entries)

    def unwatch(self, netns: int, port: int) -> None:
        _bpftool("map", "delete", "id", self._id("watches"), "key", *_key(netns, port))

    def freeze(self, name: str) -> None:
        """No more changes from user space, for good."""
        subprocess.run(["bpftool", "map", "freeze", "id", self._id(name)], check=True)

    def ports(self) -> set[tuple[int, int]]:
        keys = [
            PortKey.from_buffer_copy(bytes(int(byte, 16) for byte in entry["key"]))
            for entry in _bpftool("map", "dump", "id", self._id("ports"))
        ]
        return {(key.netns, key.port) for key in keys}

    def dead_ports(self) -> set[tuple[int, int]]:
        """Those of namespaces without a process: the daemon is about to free them."""
        ports, living = self.ports(), live_namespaces()
        return {(netns, port) for netns, port in ports if netns not in living}

    def _id(self, name: str) -> str:
        return str(self._ids[name])


def _hex(data: bytes) -> list[str]:
    return ["hex", *(f"{byte:02x}" for byte in data)]


def _key(netns: int, port: int) -> list[str]:
    return _hex(bytes(PortKey(netns, port)))
