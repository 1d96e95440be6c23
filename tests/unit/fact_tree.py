"""A host as a tree of files."""

from pathlib import Path

OTHER = 7_000_000  # above any pid


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def link(root: Path, name: str, target: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def process(root: Path, pid: int, command: str = "nginx") -> Path:
    plant(root, {f"proc/{pid}/cmdline": command})
    link(root, f"proc/{pid}/ns/net", "net:[4026531840]")
    folder = root / "proc" / str(pid)
    (folder / "fd").mkdir()
    return folder
