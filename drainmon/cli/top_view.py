"""What `drainmon top` shows: which pods in which order, by the keys that were pressed. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from drainmon.cli.status import headline
from drainmon.cli.tables import drains_table, plain, pods_table

ENTER, ESCAPE, BACKSPACE = "\r", "\x1b", "\x7f"
HELP = "s sort  r reverse  / filter  q quit"
DRAINS_SHOWN = 5
CHROME = 5
"""Lines that are no pod's: the source, keys, the table's head and blank ones."""

Row = Mapping[str, Any]

SORTS: dict[str, Callable[[Row, float], Any]] = {
    "in flight": lambda pod, _: -pod["in_flight"],
    "opens/s": lambda _, rate: -rate,
    "accepted": lambda pod, _: -pod["accepted"],
    "name": lambda pod, _: pod["pod"],
}


@dataclass(frozen=True)
class View:
    """How the list is shown. `typing`: keys go into the filter. `done`: the user has had enough."""

    sort: str = "in flight"
    reverse: bool = False
    filter: str = ""
    typing: bool = False
    done: bool = False

    def press(self, key: str) -> "View":
        """The view after a key."""
        if self.typing:
            return self._type(key)
        names = list(SORTS)
        changes: dict[str, dict[str, Any]] = {
            "q": {"done": True},
            "s": {"sort": names[(names.index(self.sort) + 1) % len(names)]},
            "r": {"reverse": not self.reverse},
            "/": {"typing": True},
            ESCAPE: {"filter": ""},
        }
        return replace(self, **changes.get(key, {}))

    def _type(self, key: str) -> "View":
        if key in {ENTER, "\n"}:
            return replace(self, typing=False)
        if key == ESCAPE:
            return replace(self, typing=False, filter="")
        if key in {BACKSPACE, "\b"}:
            return replace(self, filter=self.filter[:-1])
        return replace(self, filter=self.filter + key) if key.isprintable() else self

    def choose(
        self, pods: list[dict[str, Any]], rates: Mapping[str, float]
    ) -> list[dict[str, Any]]:
        """The pods to show, in order."""
        rank = SORTS[self.sort]
        named = [pod for pod in pods if self.filter.lower() in pod["pod"].lower()]
        named.sort(key=lambda pod: pod["pod"])
        return sorted(
            named, key=lambda pod: rank(pod, rates.get(pod["pod"], 0.0)), reverse=self.reverse
        )

    def footer(self) -> Text:
        """What the keys do, or what is being typed."""
        if self.typing:
            return plain(f"filter: {self.filter}_", "bold")
        only = f"only {self.filter!r}, " if self.filter else ""
        order = f"{only}by {self.sort}{', reversed' if self.reverse else ''}"
        return plain(f"{order}    {HELP}", "dim")


def opens_per_second(
    before: list[dict[str, Any]], now: list[dict[str, Any]], seconds: float
) -> dict[str, float]:
    """Passive opens per second between two readings, by pod; none for a pod that is new."""
    then = {pod["number"]: pod["accepted"] for pod in before}
    return {
        pod["pod"]: max(0, pod["accepted"] - then[pod["number"]]) / seconds
        for pod in now
        if pod["number"] in then and seconds > 0
    }


def render(
    node: dict[str, Any], rates: Mapping[str, float], view: View, height: int, trouble: str = ""
) -> RenderableType:
    """The screen of `height` lines; `trouble`: why what it shows is old."""
    running = [drain for drain in node["drains"] if not drain["result"]]
    drains = (running or node["drains"])[:DRAINS_SHOWN]
    pods = view.choose(node["pods"], rates)
    refused = len(node["health"].get("refused", {}))
    room = max(1, height - CHROME - refused - (len(drains) + 2 if drains else 0))
    head = plain(trouble, "bold red") if trouble else headline(node["health"])
    parts: list[RenderableType] = [head, view.footer(), ""]
    parts.append(pods_table(pods[:room], rates))
    if len(pods) > room:
        parts.append(plain(f"and {len(pods) - room} more", "dim"))
    if drains:
        parts += ["", drains_table(drains)]
    return Group(*parts)
