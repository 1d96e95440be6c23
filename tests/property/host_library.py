"""A header of bpf/ that needs no kernel, compiled for the host."""

import ctypes
import subprocess
from pathlib import Path

BPF = Path(__file__).parents[2] / "bpf"
TYPES = """
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32;
typedef unsigned long long __u64; typedef long long __s64;
"""


def load(folder: Path, functions: str) -> ctypes.CDLL:
    """A library with these functions in C, which include headers of bpf/; made in `folder`."""
    source, library = folder / "rule.c", folder / "rule.so"
    source.write_text(TYPES + functions)
    flags = ["-shared", "-fPIC", "-Wall", "-Werror", f"-I{BPF}"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))
