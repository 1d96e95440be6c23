"""The line that says why the verifier refuses a program reaches `drainmon check` and the log."""

import logging
import subprocess
from pathlib import Path

import pytest

from drainmon.facts.core import trial_load
from drainmon.facts.fact import Fact, Status

pytestmark = [pytest.mark.root, pytest.mark.core]

# A thousand instructions come before the one that the verifier refuses: its log is 60 KB.
REFUSED = """
#include "conntrack.bpf.c"

SEC("iter/tcp")
int refused(struct bpf_iter__tcp *ctx)
{
	volatile int number;

#pragma unroll
	for (int i = 0; i < 1000; i++)
		number = i;
	return *(volatile int *)bpf_ktime_get_ns();
}
"""
WHY = "R0 invalid mem access 'scalar'"
WHY_BEFORE_5_18 = "R0 invalid mem access 'inv'"


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("refused") / "refused.bpf.o"
    argv = ["clang", "-g", "-O2", "-mcpu=v2", "-target", "bpf", "-Ibpf", "-x", "c", "-", "-c", "-o"]
    subprocess.run([*argv, str(path)], input=REFUSED, text=True, check=True)
    return path


def says_why(text: str) -> bool:
    return WHY in text or WHY_BEFORE_5_18 in text


def load(path: Path, level: int, caplog: pytest.LogCaptureFixture) -> tuple[Fact, list[str]]:
    """The fact of `drainmon check`, and the messages of the log."""
    with caplog.at_level(level, "drainmon"):
        fact = trial_load(path)
    return fact, [vars(r)["said"] for r in caplog.records if r.msg == "libbpf says"]


def test_check_and_log_have_the_verifiers_last_lines(
    refused: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fact, said = load(refused, logging.WARNING, caplog)
    assert fact.status is Status.MISSING
    assert fact.found.startswith(f"cannot load {refused.name}: ")
    assert says_why(fact.found)
    assert len(fact.found) < 1000
    (log,) = filter(says_why, said)
    assert "prog 'refused'" in log
    assert sum(len(message.splitlines()) for message in said) < 20


def test_debug_logs_the_whole_log_of_the_verifier(
    refused: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, said = load(refused, logging.DEBUG, caplog)
    (log,) = filter(says_why, said)
    assert len(log.splitlines()) > 1000


def test_another_error_has_no_lines_of_the_verifier(refused: Path, tmp_path: Path) -> None:
    trial_load(refused)
    broken = tmp_path / "broken.bpf.o"
    broken.write_bytes(b"\x7fELF" + bytes(500))
    assert "verifier" not in trial_load(broken).found
