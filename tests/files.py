"""Open files: some tests hold thousands of connections, and shells often allow 1,024."""

import contextlib
import resource

import pytest

ENOUGH = 16_384
"""For every test."""


def raise_limit() -> None:
    """Raise the limit of open files, of this process and its children. Raising the hard limit
    requires CAP_SYS_RESOURCE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < ENOUGH:
        for most in (max(hard, ENOUGH), hard):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (min(ENOUGH, most), most))
                return


def need(number: int) -> None:
    """Skip the test where not so many files can be open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        pytest.skip(f"needs {number} open files, and the hard limit here is {soft}: ulimit -Hn")
