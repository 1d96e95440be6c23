"""Kernel features that are detected without loading the programs, present and absent."""

import pytest

from drainmon.kernel.probe import AttachType, Features, Helper, MapType

pytestmark = pytest.mark.root

TARGETS = ((AttachType.TRACE_RAW_TP, "inet_sock_set_state"), (AttachType.TRACE_ITER, "tcp"))
XDP_ADJUST_HEAD = 44  # a helper that no tracing program may call
NO_HELPER = 100_000
NO_MAP = 1000


@pytest.fixture(scope="module")
def kernel() -> Features:
    return Features()


def test_root_is_not_refused(kernel: Features) -> None:
    assert kernel.refusal() == ""


def test_map_types_are_detected(kernel: Features) -> None:
    assert all(kernel.has_map_type(kind) for kind in MapType)
    assert not kernel.has_map_type(NO_MAP)  # type: ignore[arg-type]


@pytest.mark.parametrize(("attach", "target"), TARGETS)
def test_attach_targets_are_detected(kernel: Features, attach: AttachType, target: str) -> None:
    assert kernel.has_target(attach, target)
    assert not kernel.has_target(attach, "no_such_target")


@pytest.mark.core
@pytest.mark.parametrize(("attach", "target"), TARGETS)
def test_helpers_are_detected(kernel: Features, attach: AttachType, target: str) -> None:
    assert all(kernel.has_helper(attach, target, helper) for helper in Helper)
    assert not kernel.has_helper(attach, "no_such_target", Helper.SK_STORAGE_GET)
    for number in (XDP_ADJUST_HEAD, NO_HELPER):
        assert not kernel.has_helper(attach, target, number)  # type: ignore[arg-type]
