"""Reads evidence about drains: records as JSON or log lines, or Prometheus's text."""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drainmon.drain.advice import Buckets, Evidence, from_histograms, from_records

LAST_ARRIVAL = "drainmon_last_arrival_seconds"
SECONDS = "drainmon_drain_seconds"
DRAINS = "drainmon_drains"

ALLOWED = (
    "the input must be records of GET /v1/drains (drainmon drains --json), the daemon's log of"
    f" --log-format json, or Prometheus's text with {LAST_ARRIVAL} and {SECONDS}"
)
"""The formats that are read."""

_TEXT_LOG = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ")
"""How a line of --log-format text begins."""


def read(path: str) -> Evidence:
    """The evidence in a file, `-` for standard input. Raises OSError "cannot read PATH: why"."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
        return parse(text)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        name = "standard input" if path == "-" else path
        raise OSError(f"cannot read {name}: {why}") from None


def parse(text: str) -> Evidence:
    """The evidence in a text, which is JSON when it begins with a bracket. Raises ValueError."""
    if text.lstrip()[:1] in {"{", "["}:
        return from_records(parse_records(text))
    if _TEXT_LOG.match(text):
        raise ValueError(f"{ALLOWED} (this is a log of --log-format text)")
    try:
        return parse_metrics(text)
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        why = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{ALLOWED} ({why.splitlines()[0]:.80})") from None


def parse_records(text: str) -> list[Mapping[str, Any]]:
    """The records in an answer of /v1/drains, in a list of records, or in the daemon's log, whose
    other lines are skipped. Raises ValueError for what is not JSON."""
    try:
        try:
            documents = [json.loads(text)]
        except ValueError:
            documents = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [record for document in documents for record in _records_in(document)]
    except RecursionError:
        raise ValueError("its JSON is too deep") from None


def _records_in(document: Any) -> Iterator[Mapping[str, Any]]:
    match document:
        case list():
            for one in document:
                yield from _records_in(one)
        case {"drains": list(records)}:
            yield from _records_in(records)
        case {"drain": dict(record)}:
            yield record
        case {"event": _}:  # another line of the daemon's log
            return
        case dict():
            yield document
        case _:
            raise ValueError(f"not a drain record: {document!r:.60}")


def parse_metrics(text: str) -> Evidence:
    """The evidence in Prometheus's text, of any number of nodes. Raises ValueError for another
    format, or a text without metrics of drains."""
    # The other commands do without this library.
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    buckets: dict[str, dict[float, float]] = {LAST_ARRIVAL: {}, SECONDS: {}}
    sums: dict[str, float] = defaultdict(float)
    results: dict[str, int] = defaultdict(int)
    # By the samples' names: in concatenated texts samples follow the TYPE of another family.
    samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
    for sample in samples:
        name, _, part = sample.name.rpartition("_")
        if sample.name == f"{DRAINS}_total":
            results[sample.labels.get("result", "")] += int(sample.value)
        elif name in buckets and part == "bucket":
            bound, known = float(sample.labels["le"]), buckets[name]
            known[bound] = known.get(bound, 0.0) + sample.value
        elif name in buckets and part == "sum":
            sums[name] += sample.value
    for name in (LAST_ARRIVAL, SECONDS):
        if not buckets[name]:
            raise ValueError(f"no buckets of {name}")
    last, seconds = (Buckets(list(buckets[n].items()), sums[n]) for n in (LAST_ARRIVAL, SECONDS))
    return from_histograms(results, last, seconds)
