"""The transport ``celery``: batches go to the service's queue as tasks, answers come back as tasks (ADR 15).

As with HTTP the relay's rounds are what is repeated, never a message: a message that is lost, or whose answer is, is a round that
failed, and the next one reads the same pointers and has a greater marker. So nothing of a delivery is kept anywhere, and it does
not matter what a broker does to messages:

- *a batch twice, late or in another order* is judged by the version of each row (P8) and by the epoch (P10), as every batch is;
- *an answer twice or late* names a delivery that nobody waits for, and is dropped. An answer counts for its own delivery alone,
  and only under the service's seal: else whoever writes to the broker could make the relay forget what was never applied;
- *a broker that goes away* ends the wait at once, and the round has failed;
- *a service that is down* leaves at most ``OUTSTANDING`` batches in its queue; then nothing is sent until a worker takes them.

The holder waits without a lock or a transaction, and no longer than its lease lasts.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

from strangler import conf
from strangler.domain import wire
from strangler.domain.envelope import Event, to_json
from strangler.domain.tokens import BadToken
from strangler.errors import ServiceUnavailable
from strangler.sync import deadline, mail
from strangler.sync.answer import judge
from strangler.sync.line import Line

WAIT_S = 5.0  # from the call to the answer, as HTTP and less than lease.TTL_S: closing a line may take a second or two more
OUTSTANDING = 8  # batches that wait in the service's queue, beyond which it counts as away: two streams send six at once

_idle: list[Line] = []
_busy: dict[str, threading.Lock] = {}


class Courier:
    """Brings batches to the service of ``context``; a ``Destination`` of the relay. May be used by several threads at once.

    Raises what ``ServiceClient`` does: ``ServiceUnavailable`` when no answer comes or the broker is away, ``StaleEpoch`` for 409,
    ``StranglerError`` else.
    """

    def __init__(self, context: str, wait_s: float = WAIT_S) -> None:
        self.context, self.queue, self.wait_s = context, mail.queue_of(context), wait_s

    def post_changes(self, events: Iterable[Event]) -> dict[str, Any]:
        """What the service applied, skipped, keeps waiting and can't take: lists by subject."""
        batch = list(events)
        lanes = mail.lanes_of(batch[0].stream, batch[0].version.token) if batch else mail.lanes_of(self.context, 0)
        with _free(lanes) as lane:
            status, said = self._deliver(to_json(batch), lane, time.monotonic() + deadline.cap(self.wait_s))
        judge(status, said, who=f"the {self.context} service", call=f"{mail.APPLY} for {self.context}")
        answer: dict[str, Any] = wire.loads(said)
        return answer

    def _deliver(self, body: str, lane: str, until: float) -> tuple[int, str]:
        """Over a line that is kept, or if that turns out to be broken over a new one: a batch may come twice."""
        kept = _take()
        if kept:
            try:
                return self._exchange(kept, body, lane, until)
            except kept.errors:
                kept.close()
        try:
            line = Line()
        except (OperationalError, OSError) as error:
            raise self._no_broker(error) from error
        try:
            return self._exchange(line, body, lane, until)
        except line.errors as error:
            line.close()
            raise self._no_broker(error) from error

    def _exchange(self, line: Line, body: str, lane: str, until: float) -> tuple[int, str]:
        delivery = str(uuid.uuid4())
        waiting = line.open(self.queue, lane)
        if waiting >= OUTSTANDING:
            _give_back(line)
            raise self._away(f"{waiting} batches wait in the queue {self.queue} and nobody takes them")
        seal = mail.seal_batch(conf.service_secret(), body, context=self.context, delivery=delivery, now=time.time())
        line.send(mail.APPLY, [body, seal], delivery=delivery)
        doubts: list[str] = []
        while (message := line.receive(until)) is not None:
            found = self._read(message, delivery, doubts)
            if found:
                _give_back(line)
                return found
        line.close()  # it may still be reading what comes next
        because = f"; what came was not the service's: {doubts[0]}, is its token the monolith's?" if doubts else ""
        raise self._away(f"it has not answered within {self.wait_s:g} s{because}")

    def _read(self, message: Any, delivery: str, doubts: list[str]) -> tuple[int, str] | None:
        """Status and body, if it is the answer to this delivery."""
        try:
            said_of, status, body, seal = message[0]
            if said_of != delivery:
                return None
            mail.check_answer(conf.service_secret(), seal, status, body, context=self.context, delivery=delivery, now=time.time())
        except (BadToken, ValueError, TypeError, KeyError, IndexError) as error:
            doubts.append(str(error))
            return None
        return int(status), str(body)

    def _away(self, why: str) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"the {self.context} service: {why}; does a worker of it consume -Q {self.queue}? See: strangler status"
        )

    def _no_broker(self, error: BaseException) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"the broker on the way to the {self.context} service does not answer ({type(error).__name__}: {error}); "
            "is what CELERY_BROKER_URL names running?"
        )


@contextmanager
def _free(lanes: list[str]) -> Iterator[str]:
    """One of them for one delivery: else two threads read each other's answers. Waits if each is in use."""
    locks = {lane: _busy.setdefault(lane, threading.Lock()) for lane in lanes}
    lane = next((lane for lane in lanes if locks[lane].acquire(blocking=False)), None)
    if lane is None:
        lane = lanes[0]
        locks[lane].acquire()
    try:
        yield lane
    finally:
        locks[lane].release()


def _take() -> Line | None:
    """One that is kept and is ours: not one of before a fork, nor to a broker of before."""
    while _idle:
        try:
            line = _idle.pop()
        except IndexError:  # another thread was quicker
            return None
        if line.pid != os.getpid():
            continue
        if line.url == current_app.conf.broker_write_url:
            return line
        line.close()
    return None


def _give_back(line: Line) -> None:
    line.rest()
    _idle.append(line)
