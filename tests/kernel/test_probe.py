"""Kernel features that are detected without loading the programs, present and absent."""

import ctypes

import pytest

from drainmon.kernel import libbpf, probe
from drainmon.kernel.probe import AttachType, Helper, MapType

pytestmark = pytest.mark.root

TARGETS = ((AttachType.TRACE_RAW_TP, "inet_sock_set_state"), (AttachType.TRACE_ITER, "tcp"))
XDP_ADJUST_HEAD = 44  # a helper that no tracing program may call
NO_HELPER = 100_000
NO_MAP = 1000


@pytest.fixture(scope="module")
def lib() -> ctypes.CDLL:
    return libbpf.load_library()


def test_root_is_not_refused(lib: ctypes.CDLL) -> None:
    assert probe.refusal(lib) == ""


def test_map_types_are_detected(lib: ctypes.CDLL) -> None:
    assert all(probe.has_map_type(lib, kind) for kind in MapType)
    assert not probe.has_map_type(lib, NO_MAP)  # type: ignore[arg-type]


@pytest.mark.parametrize(("attach", "target"), TARGETS)
def test_attach_targets_are_detected(lib: ctypes.CDLL, attach: AttachType, target: str) -> None:
    assert probe.has_target(lib, attach, target)
    assert not probe.has_target(lib, attach, "no_such_target")


@pytest.mark.parametrize(("attach", "target"), TARGETS)
def test_helpers_are_detected(lib: ctypes.CDLL, attach: AttachType, target: str) -> None:
    assert all(probe.has_helper(lib, attach, target, helper) for helper in Helper)
    assert not probe.has_helper(lib, attach, "no_such_target", Helper.SK_STORAGE_GET)
    for number in (XDP_ADJUST_HEAD, NO_HELPER):
        assert not probe.has_helper(lib, attach, target, number)  # type: ignore[arg-type]
