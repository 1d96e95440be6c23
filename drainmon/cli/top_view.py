"""The screen of `drainmon top`, and how keys change it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from drainmon.cli.drain_tables import drains_tables
from drainmon.cli.keys import DOWN, END, ESCAPE, HOME, PAGE_DOWN, PAGE_UP, UP
from drainmon.cli.status import headline
from drainmon.cli.tables import arrivals, name_of, plain, pods_table

ENTER, BACKSPACE = "\r", "\x7f"
HELP = "s sort  r reverse  / filter  j k scroll  q quit"
DRAINS_SHOWN = 5
CHROME = 6
"""Lines without a pod: the source, keys, the table's head, which pods are shown, blank lines."""

Row = Mapping[str, Any]

SORTS: dict[str, Callable[[Row, float], Any]] = {
    "in flight": lambda pod, _: -pod["in_flight"],
    "arrivals/s": lambda _, rate: -rate,
    "arrivals": lambda pod, _: -arrivals(pod),
    "name": lambda pod, _: name_of(pod),
}


@dataclass(frozen=True)
class View:
    """How the list is shown. `first`: index of the first pod on the screen. `typing`: keys go into
    the filter. `done`: the user has quit."""

    sort: str = "in flight"
    reverse: bool = False
    filter: str = ""
    first: int = 0
    typing: bool = False
    done: bool = False

    def press(self, key: str, room: int = 1, pods: int = 0) -> "View":
        """The view after a key; `room` of the `pods` fit on the screen."""
        if self.typing:
            return self._type(key)
        names, last = list(SORTS), max(0, pods - room)
        by = {"k": -1, UP: -1, "j": 1, DOWN: 1, PAGE_UP: -room, PAGE_DOWN: room, " ": room,
              "g": -last, HOME: -last, "G": last, END: last}  # fmt: skip
        if key in by:
            return replace(self, first=min(last, max(0, min(self.first, last) + by[key])))
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
        is_character = len(key) == 1 and key.isprintable()
        return replace(self, filter=self.filter + key) if is_character else self

    def choose(
        self, pods: list[dict[str, Any]], rates: Mapping[str, float]
    ) -> list[dict[str, Any]]:
        """The pods to show, in order."""
        rank = SORTS[self.sort]
        wanted = self.filter.lower()
        named = [
            pod for pod in pods if wanted in pod["pod"].lower() or wanted in name_of(pod).lower()
        ]
        named.sort(key=name_of)
        return sorted(
            named, key=lambda pod: rank(pod, rates.get(pod["pod"], 0.0)), reverse=self.reverse
        )

    def footer(self) -> Text:
        """Help on the keys, or the filter while the user types it."""
        if self.typing:
            return plain(f"filter: {self.filter}_", "bold")
        only = f"only {self.filter!r}, " if self.filter else ""
        order = f"{only}by {self.sort}{', reversed' if self.reverse else ''}"
        return plain(f"{order}    {HELP}", "dim")


def arrivals_per_second(
    before: list[dict[str, Any]], now: list[dict[str, Any]], seconds: float
) -> dict[str, float]:
    """Arrivals per second between two answers, by pod; none for a new pod."""
    then = {pod["number"]: arrivals(pod) for pod in before}
    return {
        pod["pod"]: max(0, arrivals(pod) - then[pod["number"]]) / seconds
        for pod in now
        if pod["number"] in then and seconds > 0
    }


def _drains_shown(node: dict[str, Any]) -> list[dict[str, Any]]:
    running = [drain for drain in node["drains"] if not drain["result"]]
    return (running or node["drains"])[:DRAINS_SHOWN]


def room(node: dict[str, Any], height: int) -> int:
    """The number of pods that a screen of `height` lines shows."""
    drains, refused = len(_drains_shown(node)), len(node["health"].get("refused", {}))
    return max(1, height - CHROME - refused - (drains + 2 if drains else 0))


def render(
    node: dict[str, Any], rates: Mapping[str, float], view: View, height: int, trouble: str = ""
) -> RenderableType:
    """The screen of `height` lines; `trouble` is why its values are old."""
    pods, lines = view.choose(node["pods"], rates), room(node, height)
    head = plain(trouble, "bold red") if trouble else headline(node["health"])
    parts: list[RenderableType] = [head, view.footer(), ""]
    first = min(view.first, max(0, len(pods) - lines))
    shown = pods[first : first + lines]
    if shown:
        parts.append(pods_table(shown, rates))
    else:
        nothing = f"no pod is called {view.filter!r}" if node["pods"] else node.get("empty", "")
        parts.append(plain(nothing))
    if len(pods) > lines:
        parts.append(plain(f"{first + 1} to {first + len(shown)} of {len(pods)} pods", "dim"))
    if drains := _drains_shown(node):
        parts += ["", drains_tables(drains)]
    return Group(*parts)
