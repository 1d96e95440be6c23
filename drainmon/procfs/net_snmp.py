"""Passive opens from /proc/<pid>/net/snmp: how many connections a netns has accepted ever.

Format: pairs of lines, names and values, behind the same prefix (snmp_seq_show in
net/ipv4/proc.c of the kernel).
"""

from itertools import pairwise

_PREFIX = b"Tcp: "
_NAME = b"PassiveOpens"
_DIGITS = 20  # of 2**64


def parse_passive_opens(text: bytes) -> int | None:
    """The count since the namespace was made, all ports together; None when it is not there."""
    lines = text.split(b"\n")[:-1]  # the last one may be torn
    for names, values in pairwise(lines):
        if names.startswith(_PREFIX):
            return _find(names.split(), values.split()) if values.startswith(_PREFIX) else None
    return None


def _find(names: list[bytes], values: list[bytes]) -> int | None:
    found = dict(zip(names, values, strict=False)).get(_NAME, b"")
    return int(found) if found.isdigit() and len(found) <= _DIGITS else None
