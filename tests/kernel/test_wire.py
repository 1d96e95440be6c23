"""Python's mirror of the shared structs has clang's layout, by BTF."""

import ctypes
import json
import struct
import subprocess
from enum import IntEnum, IntFlag
from typing import Any

import pytest

from drainmon.kernel import wire
from drainmon.kernel.programs import OBJECT
from drainmon.model.tcp import TcpState

STRUCTS = {
    "port_key": wire.PortKey,
    "port_counters": wire.PortCounters,
    "port_record": wire.PortRecord,
    "host": wire.Host,
    "counted_changes": wire.CountedChanges,
    "watch": wire.Watch,
    "control": wire.Control,
    "process_name": wire.ProcessName,
    "handshake": wire.Handshake,
    "peer_key": wire.PeerKey,
    "connection": wire.Connection,
    "socket_record": wire.SocketRecord,
}
ENUMS: dict[str, tuple[str, type[IntEnum] | type[IntFlag]]] = {
    "counted_as": ("COUNTED_AS_", wire.CountedAs),
    "process_role": ("ROLE_", wire.ProcessRole),
    "lost_place": ("LOST_", wire.LostPlace),
    "record_flags": ("RECORD_", wire.RecordFlag),
    "tcp_state": ("TCP_", TcpState),
}


@pytest.fixture(scope="module")
def btf() -> dict[str, dict[str, Any]]:
    output = subprocess.run(
        ["bpftool", "-j", "btf", "dump", "file", str(OBJECT)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    types = json.loads(output)["types"]
    return {entry["name"]: entry for entry in types if entry["kind"] in {"STRUCT", "ENUM"}}


@pytest.mark.parametrize("name", STRUCTS)
def test_structs_match_the_kernel_programs(btf: dict[str, dict[str, Any]], name: str) -> None:
    mirror, kernel = STRUCTS[name], btf[name]
    assert kernel["size"] == ctypes.sizeof(mirror)
    mine = [(field[0], getattr(mirror, field[0]).offset * 8) for field in mirror._fields_]
    assert [(m["name"], m["bits_offset"]) for m in kernel["members"]] == mine


@pytest.mark.parametrize("name", STRUCTS)
def test_padding_is_explicit(name: str) -> None:
    mirror = STRUCTS[name]
    sizes = sum(getattr(mirror, field[0]).size for field in mirror._fields_)
    assert sizes == ctypes.sizeof(mirror)


@pytest.mark.parametrize("name", ENUMS)
def test_enums_match_the_kernel_programs(btf: dict[str, dict[str, Any]], name: str) -> None:
    prefix, mirror = ENUMS[name]
    kernel = {v["name"].removeprefix(prefix): v["val"] for v in btf[name]["values"]}
    kernel.pop("PLACES", None)  # the end marker
    assert kernel == {member.name: member.value for member in mirror}


@pytest.mark.parametrize(
    ("fast", "mirror"),
    [
        (wire.SOCKET_RECORD, wire.SocketRecord),
        (wire.PORT_COUNTERS, wire.PortCounters),
    ],
)
def test_the_fast_record_format_matches_the_struct(
    fast: struct.Struct, mirror: type[ctypes.Structure]
) -> None:
    data = bytes(number % 256 for number in range(ctypes.sizeof(mirror)))
    record = mirror.from_buffer_copy(data)
    fields: list[object] = []
    for name, *_ in mirror._fields_:
        field = getattr(record, name)
        if name == "pad":
            continue
        if not isinstance(field, ctypes.Array):
            fields.append(field)
        elif field._type_ is ctypes.c_uint8:
            fields.append(bytes(field))
        else:
            fields += list(field)
    assert list(fast.unpack(data)) == fields
