"""What the kernel says of a program that this process has loaded: /proc/self/fdinfo."""

from pathlib import Path


def missed_runs(program: int) -> int:
    """How many runs of the program of a file descriptor the kernel dropped because they interrupted
    another program on their CPU. 0 before kernel 5.12, which does not count them."""
    return parse_missed_runs(Path(f"/proc/self/fdinfo/{program}").read_text())


def parse_missed_runs(info: str) -> int:
    """The same of the file's text: bpf_prog_show_fdinfo() of the kernel's kernel/bpf/syscall.c."""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    return int(fields.get("recursion_misses", 0))
