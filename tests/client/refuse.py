"""Runs a command in a seccomp filter that refuses a system call.

`refuse.py WHAT COMMAND...`: EPERM for sock_diag's `socket` (as a strict profile does), `send` or
`receive` (as LSMs may). `refuse.py CALL ERROR -- COMMAND...`: that error, by name, for each CALL.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_SET_NO_NEW_PRIVS = 38
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ERRNO
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K

NUMBERS = {
    "x86_64": {"socket": 41, "connect": 42, "send": 44, "receive": 45},
    "aarch64": {"socket": 198, "connect": 203, "send": 206, "receive": 207},
}
EVERYWHERE = {"pidfd_send_signal": 424, "pidfd_open": 434}
AF_NETLINK, DONTWAIT, DONTWAIT_TRUNC = 16, 0x40, 0x60
ARGUMENT = {"socket": (0, AF_NETLINK), "send": (3, DONTWAIT), "receive": (3, DONTWAIT_TRUNC)}


class Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse(what: str) -> None:
    argument, value = ARGUMENT[what]
    install(
        (LOAD, 0, 0, 0),  # the number of the system call
        (IF_EQUAL, 0, 3, NUMBERS[platform.machine()][what]),
        (LOAD, 0, 0, 16 + 8 * argument),
        (IF_EQUAL, 0, 1, value),
        (RETURN, 0, 0, REFUSE | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    )


def refuse_call(call: str, error: str) -> None:
    number = EVERYWHERE.get(call) or NUMBERS[platform.machine()][call]
    install(
        (LOAD, 0, 0, 0),
        (IF_EQUAL, 0, 1, number),
        (RETURN, 0, 0, REFUSE | getattr(errno, error)),
        (RETURN, 0, 0, ALLOW),
    )


def install(*steps: tuple[int, int, int, int]) -> None:
    program = Program(len(steps), b"".join(struct.pack("=HBBI", *step) for step in steps))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)
    ):
        raise OSError(ctypes.get_errno(), "cannot filter system calls")


if __name__ == "__main__":
    command = sys.argv[2:]
    if "--" in command[1:2]:
        refuse_call(sys.argv[1], command[0])
        command = command[2:]
    else:
        refuse(sys.argv[1])
    os.execvp(command[0], command)  # noqa: S606 - the purpose of this script
