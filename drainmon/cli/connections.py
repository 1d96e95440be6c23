"""`drainmon connections`: the connections of one pod or of all pods."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType

from drainmon.cli import client, terminal
from drainmon.cli.absent import why_no_pods
from drainmon.cli.tables import connections_table, name_of, plain


def connections(socket: Path, wanted: str | None, as_json: bool) -> int:
    """Show the connections. Raises OSError when no pod has that name."""
    answers = {}
    pods = chosen(client.get(socket, "/v1/pods")["pods"], wanted)
    for pod in pods:
        answers[pod["pod"]] = client.get(socket, f"/v1/pods/{pod['number']}/connections")
    if as_json:
        sys.stdout.write(json.dumps(answers) + "\n")
    elif answers:
        terminal.show(render(answers, {pod["pod"]: name_of(pod) for pod in pods}))
    else:
        terminal.show(plain(why_no_pods()))
    return 0


def chosen(pods: list[dict[str, Any]], wanted: str | None) -> list[dict[str, Any]]:
    """The pod with this label, with this name in `status`, or with a unique part of either; all
    pods for None."""
    if wanted is None:
        return pods
    same = [pod for pod in pods if wanted in (pod["pod"], name_of(pod))]
    like = same or [pod for pod in pods if wanted in pod["pod"] or wanted in name_of(pod)]
    if len(like) != 1:
        found = ", ".join(map(name_of, like or pods)) or "none"
        why = "several pods are" if like else "no pod is"
        raise OSError(f"cannot show connections: {why} called {wanted!r}; there are: {found}")
    return like


def render(answers: dict[str, dict[str, Any]], names: Mapping[str, str]) -> RenderableType:
    """A table for each pod, with the length of its accept queues."""
    parts: list[RenderableType] = []
    for label, answer in answers.items():
        listed, total = answer["connections"], answer["total"]
        queued = sum(listener["unaccepted"] for listener in answer["listeners"])
        shown = f", the first {len(listed)} shown" if len(listed) < total else ""
        waiting = f", {queued} in the accept queue" if queued else ""
        parts += ["", plain(f"{names[label]}: {total} connections{shown}{waiting}", "bold")]
        if listed:
            parts.append(connections_table(listed))
    return Group(*parts[1:])
