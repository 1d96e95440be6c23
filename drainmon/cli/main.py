"""The command `drainmon`: its commands, and what becomes of their errors."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from drainmon import __version__
from drainmon.cli import advise, check, completion, daemon, flags, install, views

INTERRUPTED = 130


def make_parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """What it parses has the command's `run`, to be called with it, for an exit code."""
    environment = flags.without_service_links(environment)
    parser = argparse.ArgumentParser(
        prog="drainmon",
        description="Drains nginx pods with nothing lost: counts their connections in the kernel"
        " and holds the preStop hook until none is left.",
        epilog="Every flag is also an environment variable: --socket is DRAINMON_SOCKET.",
    )
    parser.add_argument("--version", action="version", version=f"drainmon {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    daemon.add_parser(commands, environment)
    views.add_parsers(commands, environment)
    completion.add_parser(commands, parser)
    check.add_parser(commands, environment)
    install.add_parser(commands, environment)
    advise.add_parser(commands, environment)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 "cannot X: why" on standard error, 2 usage; `check`, `status` and
    `advise` have more."""
    arguments = make_parser(os.environ).parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
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
