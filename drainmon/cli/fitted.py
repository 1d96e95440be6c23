"""Tables that fit the terminal."""

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

ENDLESS = 10_000
"""Columns of a pipe, in which nothing is wrapped or cut."""

NAME_KEPT = 20
"""Characters of a name that are shown before another column is."""

SHORTEST_NAME = 12
_TAIL = 5
"""Characters kept of a name's end, where the names of pods differ."""

MakeTable = Callable[[int], Table]
"""Makes a table whose first column has names of at most this many characters."""


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return made


def cut(name: str, most: int) -> str:
    """The name, without its middle if it has more than `most` characters."""
    if len(name) <= most:
        return name
    return f"{name[: most - _TAIL - 1]}\N{HORIZONTAL ELLIPSIS}{name[-_TAIL:]}"


class Fitted:
    """The first of several tables that fits the terminal. All but the first may cut the middle of
    long names."""

    def __init__(self, tables: Sequence[MakeTable], longest: int) -> None:
        """`longest` is the length of the longest name."""
        self._tables = tables
        self._longest = longest

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        endless, least = options.update(max_width=ENDLESS), self._longest
        for make in self._tables:
            made = make(self._longest)
            excess = Measurement.get(console, endless, made).maximum - options.max_width
            if excess <= 0:
                yield made
                return
            if self._longest - excess >= least:
                break
            least = NAME_KEPT
        yield make(max(SHORTEST_NAME, self._longest - excess))
