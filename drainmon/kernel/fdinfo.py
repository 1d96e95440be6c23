"""Reads /proc/self/fdinfo of a loaded BPF program."""

from pathlib import Path


def missed_runs(program: int) -> int:
    """The number of runs that the kernel dropped because they interrupted another program on their
    CPU; `program` is a descriptor. Always 0 before kernel 5.12."""
    return parse_missed_runs(Path(f"/proc/self/fdinfo/{program}").read_text())


def parse_missed_runs(info: str) -> int:
    """The same from the file's text: bpf_prog_show_fdinfo() in kernel/bpf/syscall.c."""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    return int(fields.get("recursion_misses", 0))
