"""The map `processes`: names of processes, with their roles in the programs."""

import ctypes
import errno
import os
from collections.abc import Iterable

from drainmon.kernel.maps import Map
from drainmon.kernel.wire import PROCESS_NAME, ProcessName, ProcessRole

LONGEST_NAME = PROCESS_NAME - 1
"""Bytes of a process's name that the kernel keeps."""


class ProcessNames:
    """Each name with its roles."""

    def __init__(self, processes: Map) -> None:
        self._processes = processes
        self._roles: dict[bytes, ProcessRole] = {}

    def add(self, names: Iterable[str], role: ProcessRole) -> None:
        """Give processes with these names this role, too. Raises OSError when there are too many
        names."""
        for name in names:
            cut = os.fsencode(name)[:LONGEST_NAME]
            self._roles[cut] = self._roles.get(cut, ProcessRole(0)) | role
            if not self._processes.set(ProcessName(cut), ctypes.c_uint32(self._roles[cut])):
                raise OSError(
                    errno.ENOSPC, f"cannot look for processes named {name}: too many names"
                )
