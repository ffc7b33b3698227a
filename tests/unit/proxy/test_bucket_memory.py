"""Buckets that processes share: exact when they take at once, kept when one is killed, bounded in memory."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from strangler.domain import ratelimit
from strangler.domain.ratelimit import Limit
from strangler_proxy.bucket_memory import BucketMemory

Make = Callable[..., BucketMemory]
ONE = Limit(1, 3600, 1)
NEVER = 1000.0


@pytest.fixture
def make() -> Iterator[Callable[..., BucketMemory]]:
    with contextlib.ExitStack() as stack:

        def making(**options: int) -> BucketMemory:
            return stack.enter_context(contextlib.closing(BucketMemory(**options)))

        yield making


def forked(work: Callable[[int], int]) -> int:
    """A child that writes one number to the pipe that it is given, and ends. Gives its process id."""
    pid = os.fork()
    if pid == 0:
        os._exit(work(os.getpid()))
    return pid


def test_a_name_has_a_bucket_of_its_own(make: Make) -> None:
    memory = make()
    assert [memory.take(b"a", ONE, NEVER), memory.take(b"b", ONE, NEVER)] == [0.0, 0.0]
    assert memory.take(b"a", ONE, NEVER) == pytest.approx(3600)
    assert memory.take(b"a", ONE, NEVER + 3600) == 0.0


def test_processes_that_take_at_once_get_as_many_as_there_are_together(make: Make) -> None:
    memory, limit = make(processes=4), Limit(1, 3600, 1000)
    ready, told = os.pipe(), os.pipe()

    def work(_: int) -> int:
        os.write(ready[1], b".")
        os.read(told[0], 1)
        got = sum(not memory.take(b"a", limit, NEVER) for _ in range(600))
        os.write(ready[1], b"%4d" % got)
        return 0

    children = [forked(work) for _ in range(4)]
    for _ in children:
        assert os.read(ready[0], 1) == b"."
    os.write(told[1], b"....")
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    assert sum(int(os.read(ready[0], 4)) for _ in children) == 1000


def test_a_process_that_is_killed_while_it_holds_a_lock_stops_nobody(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = make(processes=2, size=4)
    ready = os.pipe()

    def work(_: int) -> int:
        def stay(*_: object) -> None:
            os.write(ready[1], b".")
            signal.pause()

        monkeypatch.setattr(ratelimit, "take", stay)
        memory.take(b"a", ONE, NEVER)
        return 0

    child = forked(work)
    assert os.read(ready[0], 1) == b"."
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert memory.take(b"a", ONE, NEVER) == 0.0


def test_the_one_that_was_left_alone_longest_makes_room(make: Make) -> None:
    memory = make(size=4)
    for at, name in enumerate((b"a", b"b", b"c", b"d")):
        assert memory.take(name, ONE, NEVER + at) == 0.0
    assert memory.take(b"a", ONE, NEVER + 5) > 0.0
    assert memory.take(b"e", ONE, NEVER + 6) == 0.0, "in the place of b"
    assert memory.take(b"a", ONE, NEVER + 7) > 0.0
    assert memory.take(b"c", ONE, NEVER + 7) > 0.0
    assert memory.take(b"b", ONE, NEVER + 8) == 0.0, "it begins anew"
