"""Runs a command in a seccomp filter that refuses it sock_diag: `refuse.py WHAT COMMAND...`.

WHAT: `socket` (as a strict profile does), `send` or `receive` (as LSMs may).
"""

import ctypes
import os
import platform
import struct
import sys

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_NO_NEW_PRIVS = 38
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ERRNO, EPERM
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K

NUMBERS = {
    "x86_64": {"socket": 41, "send": 44, "receive": 45},
    "aarch64": {"socket": 198, "send": 206, "receive": 207},
}
AF_NETLINK, DONTWAIT, DONTWAIT_TRUNC = 16, 0x40, 0x60
ARGUMENT = {"socket": (0, AF_NETLINK), "send": (3, DONTWAIT), "receive": (3, DONTWAIT_TRUNC)}


class Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse(what: str) -> None:
    argument, value = ARGUMENT[what]
    steps = [
        (LOAD, 0, 0, 0),  # the number of the system call
        (IF_EQUAL, 0, 3, NUMBERS[platform.machine()][what]),
        (LOAD, 0, 0, 16 + 8 * argument),
        (IF_EQUAL, 0, 1, value),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    program = Program(len(steps), b"".join(struct.pack("=HBBI", *step) for step in steps))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)
    ):
        raise OSError(ctypes.get_errno(), "cannot filter system calls")


if __name__ == "__main__":
    refuse(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - that is what it is for
