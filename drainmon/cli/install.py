"""`drainmon install-client`: drainmon-wait into the folder that the pods' hooks see."""

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
"""Where `make build` leaves the client in a checkout."""


def add_parser(commands: Any) -> None:
    parser: flags.Command = commands.add_parser(
        "install-client",
        help="put drainmon-wait beside the socket, for the pods' hooks",
        description="Copies drainmon-wait into the socket's folder, in one step: hooks that run"
        " meanwhile have the old one or the new one.",
    )
    flags.add_socket(parser)
    parser.add_flag(
        "--client",
        Path,
        metavar="PATH",
        help="the drainmon-wait to copy (default: the one beside this command, else that of the"
        " checkout that this command is run from)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Also when it cannot be run from there: a pod's mount of the folder may let it."""
    target = install(arguments.client or default_client(), arguments.socket.parent)
    sys.stdout.write(f"installed {target}\n")
    if why := why_not_runnable(target):
        sys.stderr.write(
            f"drainmon: cannot run {target}: {why}; pods with hostUsers: false cannot, either:"
            " use the client's image there, or another folder\n"
        )
    return 0


def default_client(built: Path = BUILT) -> Path:
    """The client beside this command, as in the image; where there is none, the checkout's.
    Raises OSError when there is neither."""
    beside_this_command = Path(sysconfig.get_path("scripts")) / NAME
    for client in (beside_this_command, built):
        if client.exists():
            return client
    raise OSError(
        f"cannot find {NAME}: neither {beside_this_command} nor {built} is there; in a checkout"
        f" `make build` makes it, and --client says where another is"
    )


def install(client: Path, folder: Path) -> Path:
    """Copy `client` to `folder`, made if need be, in one step: whoever runs the client sees the old
    one or the new one, also while the old one runs. Gives its place.

    Raises OSError "cannot install PATH: why", also when others could put something else there.
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
    """Why the client cannot be run from where it is, None when it can."""
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
    # A file that runs cannot be written to (ETXTBSY), a name can always be given to another file.
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
