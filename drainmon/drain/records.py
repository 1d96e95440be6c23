"""The records of the latest drains: running ones as they are, ended ones packed."""

import json
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict

from drainmon.drain.report import DrainRecord

KEPT = 1000

PACKED_FAST = 1
"""zlib's level: a record of a deadline shrinks to a third, better levels gain a tenth more."""


class Records:
    """At most `kept` records. Packed, a thousand that name twenty connections each take 1.6 MB."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._begun = 0
        self._records: OrderedDict[int, DrainRecord | bytes] = OrderedDict()

    def begin(self, record: DrainRecord) -> int:
        """Add the record of a running drain, and return its number for `end`."""
        self._begun += 1
        self._records[self._begun] = record
        if len(self._records) > self._kept:
            self._records.popitem(last=False)
        return self._begun

    def end(self, number: int) -> None:
        """Pack a record, which does not change any more."""
        record = self._records.get(number)
        if isinstance(record, DrainRecord):
            text = json.dumps(asdict(record), separators=(",", ":"))
            self._records[number] = zlib.compress(text.encode(), PACKED_FAST)

    def latest(self) -> Iterator[DrainRecord]:
        """The records, latest first, each unpacked on demand: all at once would take 11 MB."""
        for record in reversed(list(self._records.values())):
            yield record if isinstance(record, DrainRecord) else _unpack(record)


def _unpack(packed: bytes) -> DrainRecord:
    record = DrainRecord(**json.loads(zlib.decompress(packed)))
    record.phases = [(phase, began) for phase, began in record.phases]
    return record
