"""An interrupt waits until what it would have broken is whole."""

import signal
import threading

import pytest

from bench.rig.interrupts import held_back


def test_comes_at_the_end_of_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest of the block")
    assert done


def test_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with held_back():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_have_none() -> None:
    entered = []

    def enter() -> None:
        with held_back():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered
