"""From memory to the database: a thread that reads what was seen, adds up, and stores it every few seconds.

It has a connection of its own for the moment of a flush. A process that was forked begins anew: what its parent saw, its parent
stores. While the database is away the sums wait, and what finds no room any more is lost, and said to be.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from strangler.analysis.usage import reading, storing
from strangler.analysis.usage.counting import Row, counted
from strangler.analysis.usage.tally import HIT, Seen, Source, Tally, Together
from strangler.sync.database import sqlstate

if TYPE_CHECKING:
    from strangler.analysis.usage.units import Unit

log = logging.getLogger("strangler.usage")

EVERY_S = 5.0
AT_LEAST_S = 1.0  # between two, however much there is
LONGEST_S = 60.0  # between two tries while the database is away
BEAT_S = 30.0  # that somebody records is noted so often
PRUNE_S = 3600.0
MOST_ROWS = 20_000  # that wait for the database
WAIT_AT_EXIT_S = 3.0
UNDEFINED_TABLE = "42P01"

is_on = False  # set once, by ``install``
is_automatic = True  # tests flush by hand
counts_usage = True
live: dict[int, Unit] = {}


class Reader(Protocol):
    """What else is made of what was seen. It is called by the thread that flushes."""

    def add(self, seen: Mapping[tuple[Source, Seen | Together], int], lost: int) -> None: ...
    def waits(self) -> bool:
        """Whether there is something to store."""

    def store(self, cursor: Any, *, prune: bool) -> None:
        """In the transaction of the flush."""

    def stored(self) -> None: ...
    def forget(self) -> None: ...


readers: list[Reader] = []

_tally = Tally()
_pending: Counter[Row] = Counter()
_lost = 0
_roles: set[str] = set()
_beaten: dict[str, float] = {}
_pruned_at = 0.0
_failures = 0
_wanted = threading.Event()
_starting = threading.Lock()
_flushing = threading.Lock()
_thread: threading.Thread | None = None


def failed(error: Exception) -> None:
    """Something in here went wrong: said, counted as a loss, and never anybody else's error."""
    global _lost
    _lost += 1
    log.warning("usage.failed error=%r", error)


def gather(unit: Unit, *, is_hit: bool = False) -> None:
    if not is_on:
        unit.seen.clear()
        return
    seen = []
    try:
        while True:
            seen.append(unit.seen.popleft())
    except IndexError:
        pass
    if is_hit:
        seen.append(HIT)
    if not seen:
        return
    try:
        if _tally.add(unit.source(), seen):
            _wanted.set()
    except Exception as error:
        failed(error)


def start(role: str) -> None:
    """This process does work of that kind: ``web``, ``worker`` or ``command``. From now on it says so now and then."""
    if role in _roles:
        return
    global _thread
    with _starting:
        _roles.add(role)
        if is_on and is_automatic and _thread is None:
            _thread = threading.Thread(target=_run, name="strangler-usage", daemon=True)
            _thread.start()
    _wanted.set()


def flush(wait_s: float = -1) -> bool:
    """Whether all that was seen until now is stored. Never raises."""
    global _failures
    if not _flushing.acquire(timeout=wait_s):
        return False
    try:
        _flush()
        _failures = 0
        return True
    except Exception as error:  # the database is away, or refuses; what waits is tried again
        _failures += 1
        if sqlstate(error) == UNDEFINED_TABLE:  # before `manage.py migrate` there is nothing that could be known
            _pending.clear()
            for reader in readers:
                reader.forget()
        elif _failures == 1:
            log.warning("usage.not_stored error=%r", error)
        return False
    finally:
        _flushing.release()


def _flush() -> None:
    global _pruned_at
    read()
    now = time.monotonic()
    due = {role for role in _roles if role != "command" and now - _beaten.get(role, -BEAT_S) >= BEAT_S}
    lost = _lost
    prune = bool(_roles - {"command"}) and now - _pruned_at >= PRUNE_S
    if not (_pending or due or lost or any(reader.waits() for reader in readers)):
        return
    more = [functools.partial(reader.store, prune=prune) for reader in readers]
    roles = sorted(due) if reading.can_read() and counts_usage else []
    storing.store(_pending, roles=roles, lost=lost, prune=prune, more=more)
    _stored(due, lost, now)
    for reader in readers:
        reader.stored()
    if prune:
        _pruned_at = now


def read() -> None:
    """What was seen until now is read, and waits to be stored."""
    global _lost
    for unit in list(live.values()):
        if unit.is_named:
            gather(unit)
    counts, lost = _tally.take()
    for reader in readers:
        reader.add(counts, lost)
    if not counts_usage:
        return
    _lost += lost
    for row, count in counted(counts).items():
        if row in _pending or len(_pending) < MOST_ROWS:
            _pending[row] += count
        else:
            _lost += count


def _stored(roles: set[str], lost: int, now: float) -> None:
    global _lost
    _pending.clear()
    _lost -= lost
    _beaten.update(dict.fromkeys(roles, now))


def _run() -> None:
    from strangler.analysis.usage import units

    with units.ours():
        while True:
            _wanted.wait(min(LONGEST_S, EVERY_S * 2 ** min(_failures, 10)))
            _wanted.clear()
            flush()
            time.sleep(AT_LEAST_S)


def _begin_anew() -> None:
    """In a child that was forked: locks may be held by threads that are not here."""
    global _tally, _pending, _lost, _thread, _starting, _flushing, _wanted, _failures
    _tally, _pending, _lost, _thread, _failures = Tally(), Counter(), 0, None, 0
    _starting, _flushing, _wanted = threading.Lock(), threading.Lock(), threading.Event()
    _roles.clear()
    _beaten.clear()
    for reader in readers:
        reader.forget()
    for unit in list(live.values()):
        unit.seen.clear()


def stop() -> None:
    """At the end of a process: the last flush, unless the database was away lately."""
    if is_on and is_automatic and _roles and not _failures:
        from strangler.analysis.usage import units

        with units.ours():
            flush(WAIT_AT_EXIT_S)


def stop_with(**_: object) -> None:
    """A Celery worker's process doesn't end as others do."""
    stop()


def install() -> None:
    """Begin to record in this process. Idempotent."""
    global is_on
    if not is_on:
        is_on = True
        os.register_at_fork(after_in_child=_begin_anew)
        atexit.register(stop)
