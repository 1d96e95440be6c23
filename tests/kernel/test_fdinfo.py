"""The kernel's count of dropped runs."""

from drainmon.kernel.fdinfo import parse_missed_runs

INFO = """\
pos:\t0
flags:\t02000002
mnt_id:\t15
ino:\t1058
prog_type:\t26
prog_jited:\t1
prog_tag:\t8c72a3a8dbbba9b6
memlock:\t8192
prog_id:\t5128
run_time_ns:\t0
run_cnt:\t0
recursion_misses:\t27
verified_insns:\t1894
"""


def test_missed_runs_are_parsed() -> None:
    assert parse_missed_runs(INFO) == 27


def test_a_kernel_without_the_count_has_no_missed_runs() -> None:
    assert parse_missed_runs(INFO.replace("recursion_misses:\t27\n", "")) == 0
