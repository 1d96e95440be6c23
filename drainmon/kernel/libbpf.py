"""The functions of libbpf.so.1 in use, every argument and result declared.

Source: libbpf's own headers, bpf/libbpf.h and bpf/bpf.h of version 1.1. A
function that returns a pointer returns None with errno set when it fails; one
that returns an int, a negative errno.
"""

import ctypes
import logging
import os
from ctypes import c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, NoReturn

from drainmon.kernel import verifier

log = logging.getLogger(__name__)

SONAME = "libbpf.so.1"

SAMPLE_CALLBACK = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)
"""int (*)(void *context, void *data, size_t size): one ring buffer record."""

_PRINT_CALLBACK = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
_LEVELS = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}

_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "libbpf_set_print": (c_void_p, (_PRINT_CALLBACK,)),
    "libbpf_version_string": (c_char_p, ()),
    "libbpf_num_possible_cpus": (c_int, ()),
    "libbpf_find_vmlinux_btf_id": (c_int, (c_char_p, c_int)),
    "libbpf_probe_bpf_map_type": (c_int, (c_int, c_void_p)),
    "btf__parse_raw": (c_void_p, (c_char_p,)),
    "btf__free": (None, (c_void_p,)),
    "btf__find_by_name_kind": (c_int, (c_void_p, c_char_p, c_uint32)),
    "btf__type_by_id": (c_void_p, (c_void_p, c_uint32)),
    "btf__name_by_offset": (c_char_p, (c_void_p, c_uint32)),
    "bpf_object__open_file": (c_void_p, (c_char_p, c_void_p)),
    "bpf_object__load": (c_int, (c_void_p,)),
    "bpf_object__close": (None, (c_void_p,)),
    "bpf_object__find_map_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_object__find_program_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_program__set_autoload": (c_int, (c_void_p, ctypes.c_bool)),
    "bpf_map__fd": (c_int, (c_void_p,)),
    "bpf_map__set_max_entries": (c_int, (c_void_p, c_uint32)),
    "bpf_map__initial_value": (c_void_p, (c_void_p, ctypes.POINTER(c_size_t))),
    "bpf_program__fd": (c_int, (c_void_p,)),
    "bpf_program__attach": (c_void_p, (c_void_p,)),
    "bpf_program__attach_iter": (c_void_p, (c_void_p, c_void_p)),
    "bpf_link__fd": (c_int, (c_void_p,)),
    "bpf_link__destroy": (c_int, (c_void_p,)),
    "bpf_iter_create": (c_int, (c_int,)),
    "bpf_prog_load": (c_int, (c_int, c_char_p, c_char_p, c_char_p, c_size_t, c_void_p)),
    "bpf_map_lookup_elem": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_update_elem": (c_int, (c_int, c_void_p, c_void_p, c_uint64)),
    "bpf_map_delete_elem": (c_int, (c_int, c_void_p)),
    "bpf_map_get_next_id": (c_int, (c_uint32, c_void_p)),
    "bpf_map_get_fd_by_id": (c_int, (c_uint32,)),
    "bpf_obj_get_info_by_fd": (c_int, (c_int, c_void_p, c_void_p)),
    "ring_buffer__new": (c_void_p, (c_int, SAMPLE_CALLBACK, c_void_p, c_void_p)),
    "ring_buffer__epoll_fd": (c_int, (c_void_p,)),
    "ring_buffer__consume": (c_int, (c_void_p,)),
    "ring_buffer__free": (None, (c_void_p,)),
}

_libc = ctypes.CDLL(None)
_libc.vasprintf.argtypes = (ctypes.POINTER(c_void_p), c_char_p, c_void_p)
_libc.vasprintf.restype = c_int
_libc.free.argtypes = (c_void_p,)
_libc.free.restype = None


def _print(level: int, template: bytes, arguments: int) -> int:
    """Log one message of libbpf's; of the verifier's log, which may have thousands of lines, only
    the last ones unless `debug` is logged."""
    severity = _LEVELS.get(level, logging.DEBUG)
    if severity < logging.WARNING and not log.isEnabledFor(severity):
        return 0
    said = _formatted(template, arguments).rstrip()
    if lines := verifier.last_lines(said):
        verifier.refused(lines)
        if not log.isEnabledFor(logging.DEBUG):
            said = "\n".join((said.partition("\n")[0], *lines))
    log.log(severity, "libbpf says", extra={"said": said})
    return 0


def _formatted(template: bytes, arguments: int) -> str:
    """The message, of any length. libc allocates it: a va_list can be read once only, so that it
    cannot be measured first."""
    text = c_void_p()
    length = _libc.vasprintf(ctypes.byref(text), template, arguments)
    if length < 0:
        return "no memory for a message"
    try:
        return ctypes.string_at(text, length).decode(errors="replace")
    finally:
        _libc.free(text)


_PRINT = _PRINT_CALLBACK(_print)  # libbpf keeps only the address


class Library(ctypes.CDLL):
    """Only has the declared functions: an undeclared one would cut pointers to 32 bits."""

    def __getattr__(self, name: str) -> Any:
        if name not in _SIGNATURES:
            raise AttributeError(f"{name} is not declared")
        function = super().__getattr__(name)
        function.restype, function.argtypes = _SIGNATURES[name]
        return function


def load_library() -> Library:
    """The distribution's libbpf, with its functions declared and its log redirected. Raises OSError
    when it is not installed, or lacks a function."""
    try:
        library = Library(SONAME, use_errno=True)
        for name in _SIGNATURES:
            getattr(library, name)
    except (OSError, AttributeError) as error:
        raise OSError(f"cannot use {SONAME} (Debian: libbpf1): {error}") from error
    library.libbpf_set_print(_PRINT)
    return library


def fail(doing: str, errno: int) -> NoReturn:
    """Raise OSError "cannot <doing>: <why>", with the verifier's explanation where it refused a
    program; the sign of errno does not matter."""
    errno = abs(errno)
    raise verifier.explain(OSError(errno, f"cannot {doing}: {os.strerror(errno)}"))


def must(result: int, doing: str) -> int:
    """The int result, unless it is an error. Raises OSError."""
    if result < 0:
        fail(doing, result)
    return result


def must_pointer(pointer: int | None, doing: str) -> int:
    """The pointer, unless it is NULL. Raises OSError by errno."""
    if not pointer:
        fail(doing, ctypes.get_errno())
    return pointer
