"""`drainmon install-client`: copies drainmon-wait to the folder that pods mount."""

import argparse
import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from drainmon.cli import flags
from drainmon.server.unix_socket import make_folder

NAME = "drainmon-wait"
MODE = 0o755
TRIAL_SECONDS = 5.0
BUILT = Path(__file__).parents[2] / "build" / NAME
"""The client in a checkout after `make build`."""


def add_parser(commands: Any) -> None:
    parser: flags.Command = commands.add_parser(
        "install-client",
        help="copy drainmon-wait to the socket's folder, for the pods' hooks",
        description="Copies drainmon-wait to the socket's folder: the one beside this command, else"
        " the one built in this checkout. The replacement is atomic: a hook runs either the old"
        " version or the new one.",
    )
    flags.add_socket(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Install the client. One that cannot run from the folder is a warning only: a pod's own mount
    of the folder may allow it."""
    target = install(default_client(), arguments.socket.parent)
    sys.stdout.write(f"installed {target}\n")
    if why := why_not_runnable(target):
        sys.stderr.write(
            f"drainmon: cannot run {target}: {why}; nor can pods with hostUsers: false: use the"
            " client's image there, or another folder\n"
        )
    return 0


def default_client(built: Path = BUILT) -> Path:
    """The client beside this command, as in the image, else the checkout's. Raises OSError without
    either."""
    beside_this_command = Path(sysconfig.get_path("scripts")) / NAME
    for client in (beside_this_command, built):
        if client.exists():
            return client
    raise OSError(
        f"cannot find {NAME}: neither {beside_this_command} nor {built} is there; in a checkout"
        " `make build` makes it"
    )


def install(client: Path, folder: Path) -> Path:
    """Copy `client` to `folder`, which is made if needed, and return its path. The replacement is
    atomic, also while the old client runs.

    Raises OSError "cannot install PATH: why", also when other users could replace the client.
    """
    target = folder / NAME
    try:
        content = client.read_bytes()
        make_folder(folder)
        _replace(target, content)
    except OSError as error:
        why = f"{error.filename}: {error.strerror}" if error.filename else f"{error}"
        raise OSError(error.errno, f"cannot install {target}: {why}") from error
    return target


def why_not_runnable(target: Path) -> str | None:
    """Why the client cannot run from its folder, None when it can."""
    try:
        subprocess.run(
            [target, "--version"], check=True, capture_output=True, timeout=TRIAL_SECONDS
        )
    except PermissionError as error:
        if os.statvfs(target).f_flag & os.ST_NOEXEC:
            return "the file system is mounted noexec"
        return error.strerror
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None


def _replace(target: Path, content: bytes) -> None:
    # A running file cannot be written to (ETXTBSY), but its name can be given to another file.
    fd, new = tempfile.mkstemp(prefix=f".{NAME}.", dir=target.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, MODE)
            file.flush()
            os.fsync(fd)
        Path(new).replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(new).unlink()
        raise
