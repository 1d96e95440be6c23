"""BPF programs attached to TCP state changes for the length of a block, and the kernel's statistics
of their runs (kernel.bpf_stats_enabled)."""

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from drainmon.kernel import libbpf
from drainmon.kernel.conntrack import Conntrack
from drainmon.kernel.probe import AttachType, LoadOptions, ProgramType

STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
TRACEPOINT = b"inet_sock_set_state"
_RETURN_0 = struct.pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)
"""Two of struct bpf_insn: r0 = 0; exit."""


@dataclass(frozen=True)
class Runs:
    """The runs of programs and their time."""

    ns: int
    """The time of all programs together."""
    events: int
    """Runs of the program that ran most often: an event may run several."""

    def since(self, before: "Runs") -> float:
        """Nanoseconds per event. Raises ZeroDivisionError without one."""
        return (self.ns - before.ns) / (self.events - before.events)


def runs(pid: int) -> Runs:
    """Runs of the programs that a process has descriptors of, since they were loaded and while the
    kernel counted."""
    found: dict[int, tuple[int, int]] = {}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # closed since the folder was read
            fields = dict(line.split(":", 1) for line in info.read_text().splitlines())
            if "run_time_ns" in fields:
                found[int(fields["prog_id"])] = int(fields["run_time_ns"]), int(fields["run_cnt"])
    return Runs(
        sum(ns for ns, _ in found.values()), max((count for _, count in found.values()), default=0)
    )


@contextmanager
def counting_runs() -> Iterator[None]:
    """Let the kernel count runs and time of programs, which costs each run two clock reads."""
    before = STATS.read_text()
    STATS.write_text("1")
    try:
        yield
    finally:
        STATS.write_text(before)


@contextmanager
def ours(netns: int, ports: Iterable[int] = ()) -> Iterator[int]:
    """drainmon's own programs, counting on these ports of a netns inode. Yields their pid."""
    with closing(Conntrack(lambda *_: None)) as conntrack:
        for port in ports:
            conntrack.add_port(netns, port)
        yield os.getpid()


@contextmanager
def beside(path: Path) -> Iterator[int]:
    """The program `on_state` of another build's object, without ports. Raises OSError when it
    cannot be loaded."""
    lib = libbpf.load_library()
    with ExitStack() as stack:
        opened = libbpf.must_pointer(
            lib.bpf_object__open_file(str(path).encode(), None), f"open {path}"
        )
        stack.callback(lib.bpf_object__close, opened)
        libbpf.must(lib.bpf_object__load(opened), f"load {path}")
        program = lib.bpf_object__find_program_by_name(opened, b"on_state")
        libbpf.must_pointer(program, f"find on_state in {path}")
        link = libbpf.must_pointer(lib.bpf_program__attach(program), f"attach {path}")
        stack.callback(lib.bpf_link__destroy, link)
        yield os.getpid()


@contextmanager
def empty() -> Iterator[int]:
    """A program that returns at once: its time is the cost of measuring."""
    lib = libbpf.load_library()
    attach = AttachType.TRACE_RAW_TP
    options = LoadOptions(
        sz=ctypes.sizeof(LoadOptions),
        expected_attach_type=attach,
        attach_btf_id=libbpf.must(
            lib.libbpf_find_vmlinux_btf_id(TRACEPOINT, attach), "find the tracepoint"
        ),
    )
    program = libbpf.must(
        lib.bpf_prog_load(
            ProgramType.TRACING, b"empty", b"GPL", _RETURN_0, 2, ctypes.byref(options)
        ),
        "load an empty program",
    )
    try:
        plain = ctypes.CDLL(libbpf.SONAME)
        link = libbpf.must(plain.bpf_raw_tracepoint_open(None, program), "attach it")
        try:
            yield os.getpid()
        finally:
            os.close(link)
    finally:
        os.close(program)
