"""A deadline bounds what waits below it, never lengthens it, and is gone with its block."""

from __future__ import annotations

import threading
from contextvars import copy_context

from strangler.control.sides import MonolithSide
from strangler.sync import deadline


def test_without_a_deadline_everything_takes_its_own_time() -> None:
    assert deadline.left() is None
    assert deadline.cap(5.0) == 5.0


def test_an_inner_deadline_is_never_later_than_the_outer_one() -> None:
    with deadline.within(10.0), deadline.within(1000.0):
        assert deadline.cap(5.0) == 5.0
        assert 9.0 < deadline.left() <= 10.0
    assert deadline.left() is None


def test_what_is_over_is_not_unlimited() -> None:
    with deadline.within(-1.0):
        assert deadline.left() == 0.0
        assert deadline.cap(5.0) == 0.001


def test_a_thread_that_is_given_the_context_has_the_deadline() -> None:
    seen = []
    with deadline.within(10.0):
        threads = [threading.Thread(target=lambda: seen.append(deadline.left()))]
        threads.append(threading.Thread(target=copy_context().run, args=(lambda: seen.append(deadline.left()),)))
        for thread in threads:
            thread.start()
            thread.join()
    assert [moment is not None for moment in seen] == [False, True]


def test_the_owners_lock_is_waited_for_no_longer_than_is_left() -> None:
    side = MonolithSide("payments")
    assert side._patience() == (100, 3)
    with deadline.within(0.25):
        assert side._patience() == (100, 2)
    with deadline.within(0.05):
        each, tries = side._patience()
        assert each <= 50
        assert tries == 1
    with deadline.within(-1.0):
        assert side._patience() == (1, 1)
