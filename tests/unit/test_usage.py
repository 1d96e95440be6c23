"""A source's resources are released once, after their last user."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from drainmon.sources.usage import Usage

CLOSED = "cannot count: the source is closed"


class Released:
    """How often the resources were released, and by which threads."""

    def __init__(self) -> None:
        self.by: list[int] = []
        self.usage = Usage(lambda: self.by.append(threading.get_ident()))


def test_close_without_users_releases_at_once_and_once() -> None:
    released = Released()
    with released.usage:
        pass
    assert released.by == []
    released.usage.close()
    released.usage.close()
    assert released.by == [threading.get_ident()]


def test_no_new_user_after_close() -> None:
    released = Released()
    with released.usage:
        released.usage.close()
        with pytest.raises(OSError, match=CLOSED), released.usage:
            pass
        assert released.by == []
    with pytest.raises(OSError, match=CLOSED), released.usage:
        pass
    assert len(released.by) == 1


def test_the_last_thread_releases_the_resources() -> None:
    released, began, may_end = Released(), threading.Semaphore(0), threading.Event()
    threads = []

    def use() -> None:
        with released.usage:
            began.release()
            assert may_end.wait(10)

    for _ in range(3):
        threads.append(threading.Thread(target=use))
        threads[-1].start()
        assert began.acquire(timeout=10)
    released.usage.close()
    released.usage.close()
    assert released.by == []
    may_end.set()
    for thread in threads:
        thread.join()
    assert len(released.by) == 1
    assert released.by[0] in {thread.ident for thread in threads}


def test_a_user_that_raises_has_left() -> None:
    released = Released()
    with pytest.raises(ValueError, match="torn"), released.usage:
        released.usage.close()
        raise ValueError("torn")
    assert len(released.by) == 1


def test_concurrent_closes_release_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        for _ in range(200):
            released, together = Released(), threading.Barrier(8)

            def use(released: Released = released, all_at: threading.Barrier = together) -> None:
                with released.usage:
                    all_at.wait(10)
                    released.usage.close()

            for future in [threads.submit(use) for _ in range(8)]:
                future.result()
            assert len(released.by) == 1
