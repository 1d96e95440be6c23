"""A sockmap that redirects data from one socket to another, past TCP: as service meshes and CNIs do
between processes of one node."""

import ctypes
import os
import socket
import struct

from bench.rig.closing import Closing
from drainmon.kernel import libbpf

_SOCKMAP = 15  # BPF_MAP_TYPE_SOCKMAP
_SK_MSG = 16  # BPF_PROG_TYPE_SK_MSG
_SK_MSG_VERDICT = 7  # BPF_SK_MSG_VERDICT
_MSG_REDIRECT_MAP = 60  # BPF_FUNC_msg_redirect_map
_INGRESS = 1  # BPF_F_INGRESS
_PSEUDO_MAP_FD = 1

SENDER, RECEIVER = 0, 1


def _instruction(code: int, registers: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("=BBhi", code, registers, 0, immediate)


class Sockmap(Closing):
    """Data sent on `sender` arrives at `receiver` without a packet."""

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        self._lib = ctypes.CDLL(libbpf.SONAME)
        self._map = libbpf.must(
            self._lib.bpf_map_create(_SOCKMAP, b"redirect", 4, 4, 2, None), "make a sockmap"
        )
        program = (
            _instruction(0x18, _PSEUDO_MAP_FD << 4 | 2, self._map)  # r2 = map
            + _instruction(0)
            + _instruction(0xB7, 3, RECEIVER)  # r3 = key
            + _instruction(0xB7, 4, _INGRESS)  # r4 = flags
            + _instruction(0x85, 0, _MSG_REDIRECT_MAP)
            + _instruction(0x95)
        )
        self._program = libbpf.must(
            self._lib.bpf_prog_load(_SK_MSG, b"redirect", b"GPL", program, len(program) // 8, None),
            "load the verdict",
        )
        libbpf.must(
            self._lib.bpf_prog_attach(self._program, self._map, _SK_MSG_VERDICT, 0), "attach it"
        )
        for key, end in ((SENDER, sender), (RECEIVER, receiver)):
            number, value = ctypes.c_uint32(key), ctypes.c_uint32(end.fileno())
            libbpf.must(
                self._lib.bpf_map_update_elem(
                    self._map, ctypes.byref(number), ctypes.byref(value), 0
                ),
                "enter a socket",
            )

    def close(self) -> None:
        os.close(self._program)
        os.close(self._map)
