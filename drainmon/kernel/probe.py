"""The BPF features of the running kernel, found by trying.

libbpf probes map types. Its probes of tracing programs are not sufficient: they misread a message
that newer kernels word differently, and do not support helpers (-EOPNOTSUPP). So this module loads
programs of two instructions: one that does nothing, and one that calls the helper. The verifier
rejects the second, and its log shows whether because of the helper or of the helper's arguments.
"""

import ctypes
import os
import struct
from enum import IntEnum

from drainmon.kernel.libbpf import SONAME, load_library

_LOG_SIZE = 4096
_LICENSE = b"GPL"

# struct bpf_insn: code, registers, offset, immediate.
_INSTRUCTION = struct.Struct("=BBhi")
_CALL = 0x85
_RETURN_0 = _INSTRUCTION.pack(0xB7, 0, 0, 0)  # r0 = 0
_EXIT = _INSTRUCTION.pack(0x95, 0, 0, 0)

_NO_SUCH_HELPER = (
    b"invalid func ",
    b"unknown func ",
    b"program of this type cannot use helper ",  # since kernel 6.9
    b"helper call is not allowed in probe",
)


class MapType(IntEnum):
    """enum bpf_map_type."""

    SK_STORAGE = 24
    RINGBUF = 27


class Helper(IntEnum):
    """enum bpf_func_id."""

    SK_STORAGE_GET = 107


class ProgramType(IntEnum):
    """enum bpf_prog_type."""

    TRACEPOINT = 5
    TRACING = 26


class AttachType(IntEnum):
    """enum bpf_attach_type."""

    NONE = 0
    TRACE_RAW_TP = 23
    TRACE_ITER = 28


class LoadOptions(ctypes.Structure):
    """struct bpf_prog_load_opts of bpf/bpf.h, libbpf 1.1; later ones only append to it."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_uint32),
        ("prog_btf_fd", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_ifindex", ctypes.c_uint32),
        ("kern_version", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("attach_btf_obj_fd", ctypes.c_uint32),
        ("fd_array", ctypes.c_void_p),
        ("func_info", ctypes.c_void_p),
        ("func_info_cnt", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_void_p),
        ("line_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_char_p),
    )


class Features:
    """Tries features of the kernel. Making it raises OSError when libbpf is not installed."""

    def __init__(self) -> None:
        self._lib = load_library()
        self.version = f"{SONAME} {self._lib.libbpf_version_string().decode()}"

    def refusal(self) -> str:
        """Why this process may not load any program; empty when it may."""
        result, _ = self._load(ProgramType.TRACEPOINT, _RETURN_0 + _EXIT)
        return "" if result >= 0 else os.strerror(-result)

    def has_map_type(self, kind: MapType) -> bool:
        """Whether the kernel has the map type. Also False when `refusal` returns a reason."""
        return bool(self._lib.libbpf_probe_bpf_map_type(kind, None) > 0)

    def has_target(self, attach: AttachType, target: str) -> bool:
        """Whether a tracing program can attach to `target`, a tracepoint or an iterator. Also False
        when `refusal` returns a reason."""
        btf_id = self._lib.libbpf_find_vmlinux_btf_id(target.encode(), attach)
        if btf_id <= 0:
            return False
        result, _ = self._load(ProgramType.TRACING, _RETURN_0 + _EXIT, attach, btf_id)
        return result == 0

    def has_helper(self, attach: AttachType, target: str, helper: Helper) -> bool:
        """Whether a tracing program for `target` may call the helper; False without the target."""
        if not self.has_target(attach, target):
            return False
        btf_id = self._lib.libbpf_find_vmlinux_btf_id(target.encode(), attach)
        call = _INSTRUCTION.pack(_CALL, 0, 0, helper)
        _, log = self._load(ProgramType.TRACING, call + _EXIT, attach, btf_id)
        return not any(complaint in log for complaint in _NO_SUCH_HELPER)

    def _load(
        self,
        kind: ProgramType,
        program: bytes,
        attach: AttachType = AttachType.NONE,
        btf_id: int = 0,
    ) -> tuple[int, bytes]:
        """0 or a negative errno, and the verifier's log."""
        log = ctypes.create_string_buffer(_LOG_SIZE)
        options = LoadOptions(
            sz=ctypes.sizeof(LoadOptions),
            expected_attach_type=attach,
            attach_btf_id=btf_id,
            log_level=1,
            log_size=_LOG_SIZE,
            log_buf=ctypes.cast(log, ctypes.c_char_p),
        )
        count = len(program) // _INSTRUCTION.size
        result = self._lib.bpf_prog_load(kind, b"", _LICENSE, program, count, ctypes.byref(options))
        if result >= 0:
            os.close(result)
            result = 0
        return result, log.value
