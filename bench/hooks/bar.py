"""The bar for drainmon: no request lost, and almost no time wasted."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import groupby

from bench.hooks.contenders import CONTENDERS
from bench.hooks.record import Record

CONTENDER_NAMES = ("core", "procfs", "alone")
TRIALS = 20
MIN_WAIT_SECONDS = 5.0
"""drainmon-wait's default: no drain can end earlier."""
BEYOND_SECONDS = 0.3
"""For core: the median beyond the later of the ideal end and min-wait."""


def judge(records: Sequence[Record], trials: int = TRIALS) -> tuple[list[str], list[str]]:
    """The criteria that were met, and those that were not: a line each.

    Requests that nginx itself loses do not count against a hook: those of endless clients on an
    nginx without keepalive_min_timeout.
    """
    good: list[str] = []
    bad: list[str] = []

    def key(record: Record) -> tuple[tuple[int, ...], int]:
        return record.run.version, CONTENDER_NAMES.index(record.run.contender)

    mine = [record for record in records if record.run.contender in CONTENDER_NAMES]
    for (version, number), found in groupby(sorted(mine, key=key), key):
        group, name = list(found), CONTENDER_NAMES[number]
        where = f"nginx {'.'.join(map(str, version))}, {CONTENDERS[name].title}"
        lost = sum(record.avoidable for record in group)
        races = sum(record.races for record in group)
        apart = f", {races} by the keep-alive race" if group[0].run.can_race else ""
        line = f"{where}: {lost} lost in {len(group)} trials{apart}"
        (bad if lost else good).append(line)
        if len(group) < trials:
            bad.append(f"{where}: {len(group)} trials instead of {trials}")
        beyond = wasted(group)
        line = f"{where}: {beyond:.2f} s beyond max(ideal end, min-wait), median"
        (bad if name == "core" and beyond > BEYOND_SECONDS else good).append(line)
    return good, bad


def wasted(records: Iterable[Record]) -> float:
    """The median of seconds beyond the later of the ideal end and min-wait."""
    return statistics.median(
        record.seconds - max(record.ideal_end, MIN_WAIT_SECONDS) for record in records
    )
