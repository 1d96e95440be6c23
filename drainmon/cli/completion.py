"""`drainmon completion`: a shell's script to complete commands, flags and pods."""

import argparse
import sys
from typing import Any

from drainmon.cli import flags

SHELLS = ("bash", "zsh", "fish")
PODS = "pods"
TIMEOUT = 1.0
"""Seconds to wait for a daemon's answer: a user waits for the shell."""

_ASK = f"drainmon completion {PODS} 2>/dev/null"
POD_NAMES = {
    "bash": "_drainmon_pods",
    "zsh": "_drainmon_pods",
    "fish": f"({_ASK})",
    "preamble": {
        # Not compgen -W, which would run a name like $(reboot).
        "bash": f"_drainmon_pods() {{ local pod; {_ASK} | while IFS= read -r pod; do"
        ' [[ $pod == "$1"* ]] && echo "$pod"; done; }',
        "zsh": f'_drainmon_pods() {{ compadd -- ${{(f)"$({_ASK})"}} }}',
    },
}
"""How each shell gets the names of pods, in the form that shtab requires."""


def add_parser(commands: Any, whole: argparse.ArgumentParser) -> None:
    """`whole` is the parser that `commands` are of."""
    parser: flags.Command = commands.add_parser(
        "completion",
        help="print a shell's completion script",
        description="Prints a script that completes drainmon's commands, flags and pods. Example:"
        " drainmon completion bash >/etc/bash_completion.d/drainmon. The script calls"
        f" `drainmon completion {PODS}` for the names of pods.",
    )
    flags.add_socket(parser)
    parser.add_argument("shell", choices=(*SHELLS, PODS))
    parser.set_defaults(run=lambda arguments: run(whole, arguments))


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.shell == PODS:
        sys.stdout.writelines(f"{name}\n" for name in _pod_names(arguments))
        return 0
    # The other commands do without this library.
    import shtab  # noqa: PLC0415

    sys.stdout.write(shtab.complete(parser, arguments.shell))
    return 0


def _pod_names(arguments: argparse.Namespace) -> list[str]:
    """The names of pods; empty without a daemon's answer: a shell cannot show an error."""
    from drainmon.cli import client  # noqa: PLC0415

    try:
        pods = client.get(arguments.socket, "/v1/pods", TIMEOUT)["pods"]
    except OSError:
        return []
    return [pod["pod"] for pod in pods]
