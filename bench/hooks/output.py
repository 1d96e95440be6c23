"""The files that a run writes."""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from bench.hooks import chart, report
from bench.hooks.record import Record

EXPLANATION = """\
"lost" counts requests of all trials; "s beyond" is the median of the seconds from the ideal end
(all clients have learned of the pod's end, and those that leave by themselves have their last
byte) until nginx was gone: negative when the pod was cut short.
"""
RACE = """\
"by the race" counts requests of endless clients that were in transit while this nginx closed
the idle connection; no hook can save them, and they are not counted in the other columns.
"""


def write(folder: Path, records: Sequence[Record]) -> None:
    """Write results.md, results.json and a chart per table."""
    found = report.groups(records)
    tables = [report.markdown(group) for group in found]
    note = EXPLANATION + (RACE if any(group.can_race for group in found) else "")
    (folder / "results.md").write_text("\n".join([*tables, note]))
    machine = {"cores": os.cpu_count(), "kernel": platform.release(), "machine": platform.machine()}
    results = {**machine, "tables": [group.to_json() for group in found]}
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    for group in found:
        (folder / f"{group.slug}.svg").write_text(chart.draw(group))
