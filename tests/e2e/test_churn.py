"""The churn benchmark at a small size: counters, snapshot and ss agree."""

import pytest

from bench.churn import AT_ONCE, churn, come_and_go

pytestmark = pytest.mark.root


def test_counters_snapshot_and_ss_agree_after_very_many_connections() -> None:
    assert churn(connections=24_000, namespaces=2, processes=2) == []


@pytest.mark.core
def test_pods_that_come_and_go_leave_nothing_in_the_daemon() -> None:
    assert come_and_go(4 * AT_ONCE) == []
