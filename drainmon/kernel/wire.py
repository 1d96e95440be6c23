"""Python's mirror of bpf/conntrack.h: the structs that kernel and user space share.

Field order, sizes and padding are those of the header; a test compares both through BTF.
"""

import ctypes
import struct
from enum import IntEnum, IntFlag

STATE_SLOTS = 16
PROCESS_NAME = 16


class PortKey(ctypes.Structure):
    """struct port_key: key of the maps `ports` and `watches`, record of the ring buffer."""

    _fields_ = (
        ("netns", ctypes.c_uint32),
        ("port", ctypes.c_uint16),
        ("pad", ctypes.c_uint16),
    )


LISTENERS = (0, 0)
"""The netns inode and port of events about listeners of processes with the role SERVER."""


class PortCounters(ctypes.Structure):
    """struct port_counters: value of the map `ports`, one for each CPU."""

    _fields_ = (
        ("changes", ctypes.c_uint64),
        ("accepted", ctypes.c_uint64),
        ("last_accept_ns", ctypes.c_uint64),
        ("probes", ctypes.c_uint64),
        ("arrivals", ctypes.c_uint64),
        ("cut", ctypes.c_uint64),
        ("by_state", ctypes.c_int64 * STATE_SLOTS),
    )


PORT_COUNTERS = struct.Struct(f"=QQQQQQ{STATE_SLOTS}q")
"""`PortCounters` for iter_unpack: a flat tuple of its fields. ctypes takes a microsecond for each
field, and there may be a thousand ports."""


class PortRecord(ctypes.Structure):
    """struct port_record: the counters of a port, over all CPUs."""

    _fields_ = (
        ("key", PortKey),
        ("sum", PortCounters),
    )


PORT_RECORD = struct.Struct(f"=IHxxQQQQQQ{STATE_SLOTS}q")
"""`PortRecord` for iter_unpack: netns inode, port, then as PORT_COUNTERS."""


class Host(ctypes.Structure):
    """struct host: the programs' constants, set before they are loaded."""

    _fields_ = (
        ("tick_ns", ctypes.c_uint64),
        ("cpus", ctypes.c_uint32),
        ("preemptible", ctypes.c_uint32),
    )


class CountedChanges(ctypes.Structure):
    """struct counted_changes: value of the map `counted_changes` for a CPU."""

    _fields_ = (
        ("unseen", ctypes.c_uint64 * 4),
        ("recovered", ctypes.c_uint64),
        ("second_runs", ctypes.c_uint64),
    )


class Control(ctypes.Structure):
    """struct control: the programs' variable, set while they run."""

    _fields_ = (
        ("watching", ctypes.c_uint32),
        ("probing", ctypes.c_uint32),
        ("ignoring", ctypes.c_uint32),
        ("host_netns", ctypes.c_uint32 * 2),
    )


class ProcessName(ctypes.Structure):
    """struct process_name: key of the map `processes`."""

    _fields_ = (("bytes", ctypes.c_char * PROCESS_NAME),)


class ProcessRole(IntFlag):
    """enum process_role: value of the map `processes`."""

    SERVER = 1
    PROBER = 2


class Handshake(ctypes.Structure):
    """struct handshake: key of the map `handshakes`."""

    _fields_ = (
        ("accepting", ctypes.c_uint32),
        ("connecting", ctypes.c_uint32),
    )


class PeerKey(ctypes.Structure):
    """struct peer_key: key of the map `ignored_peers`."""

    _fields_ = (
        ("bits", ctypes.c_uint32),
        ("port", PortKey),
        ("address", ctypes.c_uint8 * 16),
    )


class Watch(ctypes.Structure):
    """struct watch: value of the map `watches`."""

    _fields_ = (("woken", ctypes.c_uint32),)


class Connection(ctypes.Structure):
    """struct connection: value of the socket storage `connections`."""

    _fields_ = (
        ("opened_ns", ctypes.c_uint64),
        ("is_probe", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
    )


class CountedAs(IntEnum):
    """enum counted_as: a slot in place of a state."""

    PROBE = 13


class LostPlace(IntEnum):
    """enum lost_place: index of the map `lost`."""

    CONNECTION = 0
    EVENT = 1
    PROBE = 2


class RecordFlag(IntFlag):
    """enum record_flags."""

    IPV6 = 1
    TIMEWAIT = 2
    REQUEST = 4
    PROBE = 8
    ORPHAN = 16
    BYPASSED = 32
    MPTCP = 64


class SocketRecord(ctypes.Structure):
    """struct socket_record: one socket of a snapshot."""

    _fields_ = (
        ("local", ctypes.c_uint8 * 16),
        ("remote", ctypes.c_uint8 * 16),
        ("bytes_received", ctypes.c_uint64),
        ("bytes_sent", ctypes.c_uint64),
        ("opened_ns", ctypes.c_uint64),
        ("unsent", ctypes.c_uint32),
        ("unread", ctypes.c_uint32),
        ("idle_in_ms", ctypes.c_uint32),
        ("idle_out_ms", ctypes.c_uint32),
        ("idle_ack_ms", ctypes.c_uint32),
        ("rto_ms", ctypes.c_uint32),
        ("local_port", ctypes.c_uint16),
        ("remote_port", ctypes.c_uint16),
        ("state", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("retransmits", ctypes.c_uint8),
        ("probes_out", ctypes.c_uint8),
    )


SOCKET_RECORD = struct.Struct("=16s16sQQQIIIIIIHHBBBB")
"""`SocketRecord` for struct.iter_unpack: a tuple of its fields, ten times as fast as ctypes."""
