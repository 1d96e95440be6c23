"""Measurements that make a benchmark fail."""

import sys
from collections import Counter
from contextlib import ExitStack, nullcontext
from typing import Any, cast

import pytest

from bench import churn, procfs, scrape


class OnePlace(churn.Churn):
    """One place for which every count is the same, unless the test changes one."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack, namespaces=0, processes=0)
        self.says = dict.fromkeys(("ss", "snapshot", "counters"), 3)
        self.namespaces = [cast(churn.Namespace, self)]
        self.netns = self
        self.name = "made up"
        self.accepts = self.opens = 0

    def ss(self) -> Counter[str]:
        return Counter(ESTABLISHED=self.says["ss"])

    def snapshot(self, _namespace: churn.Namespace) -> Counter[str]:
        return Counter(ESTABLISHED=self.says["snapshot"])

    def pod(self, _namespace: churn.Namespace) -> dict[str, Any]:
        return {"by_state": {"ESTABLISHED": self.says["counters"]}, "accepted": self.accepts}

    def passive_opens(self) -> int:
        return self.opens


@pytest.mark.parametrize("liar", [None, "ss", "snapshot", "counters"])
def test_a_deviating_count_is_a_disagreement(
    liar: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(churn, "SETTLE_SECONDS", 0)
    with ExitStack() as stack:
        run = OnePlace(stack)
        if liar:
            run.says[liar] += 1
        run.compare("now")
    assert len(run.disagreements) == bool(liar)


@pytest.mark.parametrize(("accepted", "disagreements"), [(5, 0), (4, 1)])
def test_an_uncounted_accept_is_a_disagreement(accepted: int, disagreements: int) -> None:
    with ExitStack() as stack:
        run = OnePlace(stack)
        before = run.accepted()
        run.accepts, run.opens = accepted, 5
        run.compare_accepted("now", before)
    assert len(run.disagreements) == disagreements


@pytest.mark.parametrize("part", ["churn", "come_and_go"])
@pytest.mark.parametrize("disagreements", [0, 1])
def test_churn_fails_on_any_disagreement(
    part: str, disagreements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["churn"])
    for each in ("churn", "come_and_go"):
        found = ["one"] * (disagreements if each == part else 0)
        monkeypatch.setattr(churn, each, lambda *_, found=found: list(found))
    assert churn.main() == disagreements


@pytest.mark.parametrize(
    ("size", "diag", "rows", "ss", "status"),
    [
        (10_000, 0.02, 0.05, 0.03, 0),
        (10_000, 0.04, 0.05, 0.03, 1),
        (10_000, 0.02, 0.01, 0.03, 1),
        (1_000, 0.04, 0.05, 0.03, 0),
    ],
)
def test_procfs_fails_on_a_snapshot_beyond_the_limit(
    size: int, diag: float, rows: float, ss: float, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = {
        procfs.DIAG: diag, procfs.ROWS: rows, procfs.SS: ss,
        procfs.RAW: 0.001, procfs.PSUTIL_NAME: 9.0,
    }  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["procfs", "--sizes", str(size)])
    monkeypatch.setattr(procfs, "fresh_netns", lambda _: nullcontext())
    monkeypatch.setattr(procfs, "holders", lambda *_: nullcontext([1]))
    monkeypatch.setattr(procfs, "measure", lambda *_: taken)
    assert procfs.main() == status


@pytest.mark.parametrize(("used", "cheap"), [(0.5, True), (0.7, False)])
def test_scrape_fails_beyond_the_limit(used: float, cheap: bool) -> None:
    assert scrape.report(used, idle=0.2, scrapes=40, seconds=10) is cheap
