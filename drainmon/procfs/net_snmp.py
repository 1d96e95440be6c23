"""Parses counters of a netns, /proc/<pid>/net/snmp and netstat.

Format: pairs of lines, names and values, with the same prefix (snmp_seq_show and netstat_seq_show
in net/ipv4/proc.c of the kernel)."""

from itertools import pairwise

_DIGITS = 20  # of 2**64


def parse_passive_opens(snmp: bytes) -> int | None:
    """The number of connections that the namespace has accepted, on all ports together; None when
    the text lacks it."""
    return _counter(snmp, b"Tcp: ", b"PassiveOpens")


def parse_mptcp_handshakes(netstat: bytes) -> int | None:
    """The number of MPTCP handshakes received by MPTCP listeners; None on kernels without MPTCP."""
    return _counter(netstat, b"MPTcpExt: ", b"MPCapableSYNRX")


def parse_datagrams(snmp: bytes, snmp6: bytes = b"") -> tuple[int, int] | None:
    """The numbers of UDP datagrams that the namespace has received and sent, over IPv4 (snmp) and
    IPv6 (snmp6, lines of a name and a value); None when the texts lack them."""
    received, sent = (_counter(snmp, b"Udp: ", name) for name in (b"InDatagrams", b"OutDatagrams"))
    if received is None or sent is None:
        return None
    words = snmp6.split()
    more = dict(zip(words[::2], words[1::2], strict=False))
    received6, sent6 = (
        int(value) if (value := more.get(name, b"0")).isdigit() and len(value) <= _DIGITS else 0
        for name in (b"Udp6InDatagrams", b"Udp6OutDatagrams")
    )
    return received + received6, sent + sent6


def _counter(text: bytes, prefix: bytes, name: bytes) -> int | None:
    lines = text.split(b"\n")[:-1]  # the last one may be torn
    for names, values in pairwise(lines):
        if names.startswith(prefix):
            found = values.startswith(prefix)
            return _find(name, names.split(), values.split()) if found else None
    return None


def _find(name: bytes, names: list[bytes], values: list[bytes]) -> int | None:
    found = dict(zip(names, values, strict=False)).get(name, b"")
    return int(found) if found.isdigit() and len(found) <= _DIGITS else None
