from __future__ import annotations

import os

import pytest

from strangler_proxy.tally import Tally


def test_what_a_process_noted_is_read_after_its_death() -> None:
    tally = Tally("inherited")
    pid = os.fork()
    if pid == 0:
        tally.note("payments", 2)
        tally.note("orders", 1)
        tally.note("orders", 0)
        tally.note("Übersicht", 1000)
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    assert tally.left() == ("inherited", "payments", "Übersicht")


def test_nothing_was_under_way() -> None:
    tally = Tally()
    assert tally.left() == ()
    tally.note("payments", 1)
    tally.note("payments", 0)
    assert tally.left() == ()


def test_more_contexts_than_fit_are_not_miscounted_but_refused() -> None:
    tally = Tally()
    for number in range(4096):
        tally.note(f"context-{number}", 1)
    with pytest.raises(OverflowError, match="too many contexts"):
        tally.note("one-more", 1)
    assert len(tally.left()) == 4096
