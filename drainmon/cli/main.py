"""The command `drainmon`: its subcommands, and how their errors are reported."""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from drainmon import __version__
from drainmon.cli import advise, check, completion, daemon, flags, install, views
from drainmon.cli.client import NoDaemonError

INTERRUPTED = 130
HINT = (
    "Is the daemon running, and is --socket right? As root, `drainmon daemon` starts the daemon,"
    " and `drainmon check` shows its requirements."
)


def make_parser(environment: Mapping[str, str]) -> flags.Command:
    """The parser. The namespace that it returns has the subcommand's `run`, which takes the
    namespace and returns an exit code."""
    parser = flags.Command(
        environment=environment,
        prog="drainmon",
        description="Drains nginx pods without losing a request: counts their connections in the"
        " kernel and holds the preStop hook until none is in flight.",
        epilog="Every flag is also an environment variable: --socket is DRAINMON_SOCKET.",
    )
    parser.add_argument("--version", action="version", version=f"drainmon {__version__}")
    commands = parser.add_subparsers(
        dest="command",
        required=True,
        metavar="COMMAND",
        parser_class=cast("type[flags.Command]", partial(flags.Command, environment=environment)),
    )
    daemon.add_parser(commands)
    views.add_parsers(commands)
    completion.add_parser(commands, parser)
    check.add_parser(commands)
    install.add_parser(commands)
    advise.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 "cannot X: why" on standard error,
    2 usage; `check`, `status` and `advise` have more."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = make_parser(os.environ)
    if argv and argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version"):
        parser.error(f"flags follow the command: drainmon COMMAND {argv[0]}")
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except NoDaemonError as error:
        sys.stderr.write(f"drainmon: {error}\n{HINT}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"drainmon: {error.strerror or error}\n")
        return 1
    except BaseExceptionGroup as group:
        failures, others = group.split(OSError)
        if others or failures is None:
            raise
        for failure in _leaves(failures):
            sys.stderr.write(f"drainmon: {failure.strerror or failure}\n")
        return 1


def _leaves(group: BaseExceptionGroup[OSError]) -> list[OSError]:
    flat: list[OSError] = []
    for error in group.exceptions:
        flat += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return flat


if __name__ == "__main__":
    sys.exit(main())
