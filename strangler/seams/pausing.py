"""The tasks of a context pause while it is handed over (PROTOCOL, Cut-over 2).

This runs in the main process of every Celery worker, which follows the route table as a proxy does. While the table asks for a
pause it sets the context's tasks aside, whatever queue they come from, and reports when none runs any more. They go on, in order,
when a table without the pause comes, or when its time is over on this worker's own monotonic clock: an operator who died can't
stop them for ever. What is set aside is not acknowledged to the broker, so it outlives the worker. A worker that misses the
pause does no harm: its tasks meet the fence.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import redis
from celery import bootsteps
from celery.worker import state

from strangler.domain.channels import TABLE, WORKERS
from strangler.sync.broker import long_client

log = logging.getLogger("strangler.seams")

BEAT_S = 1.0
LOOK_S = 0.05  # how often a worker looks whether the last task of a paused context has ended, or the pause
IDLE_S = 0.25  # how soon it notices that it shall end
BACK_OFF_S = 0.5
ANSWER_S = 2.0
FETCHED_AHEAD = 1000  # so many set aside leave room for other messages of the same queue; from there on it waits as a whole


@dataclass(frozen=True)
class Pause:
    """Of one context, for one operation, until a moment on the monotonic clock."""

    operation: str
    until: float


class Pauses:
    """What the newest table asks for. An older table, from a Redis that fell back, changes nothing (P21)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[str, Pause] = {}
        self.table = (0, 0)

    def apply(self, table: Mapping[str, Any]) -> None:
        """Starts, keeps and ends pauses; one that goes on for the same operation gets no more time."""
        number = (int(table["generation"]), int(table["version"]))
        if number <= self.table:
            return
        asked = {name: context["pause"] for name, context in table["contexts"].items() if context.get("pause")}
        self._asked = {name: self._pause(self._asked.get(name), **said) for name, said in asked.items()}
        self.table = number

    def _pause(self, known: Pause | None, operation: str, for_ms: int) -> Pause:
        return known if known and known.operation == operation else Pause(operation, self._clock() + for_ms / 1000)

    def current(self) -> dict[str, str]:
        """Context → operation."""
        return {name: pause.operation for name, pause in self._asked.items() if pause.until > self._clock()}

    def __contains__(self, context: str) -> bool:
        pause = self._asked.get(context)
        return pause is not None and pause.until > self._clock()


class Desk:
    """Where a worker's tasks pass on their way to its pool. ``take`` stands in for the consumer's ``on_task_request``."""

    def __init__(self, consumer: Any, pauses: Pauses) -> None:
        self._consumer, self._pauses = consumer, pauses
        self._proceed: Callable[[Any], object] = consumer.on_task_request
        self._lock = threading.Lock()
        self._aside: list[tuple[Any, Any]] = []  # a request, and the prefetch count that was raised for it, if it was
        self._begun: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()

    def take(self, request: Any) -> None:
        context = getattr(request.task, "context", "")
        with self._lock:
            if context and context in self._pauses:
                self._aside.append((request, self._make_room()))
                return
            if context:
                self._begun[request] = time.monotonic()
        self._proceed(request)

    def _make_room(self) -> Any:
        """As Celery does for tasks that wait for their time, so that what else is in the queue still comes."""
        if len(self._aside) >= FETCHED_AHEAD:
            return None
        self._consumer.qos.increment_eventually()
        return self._consumer.qos

    def resume(self) -> None:
        """What is not paused any more goes on. What a lost connection took along is delivered again by the broker."""
        with self._lock:
            due = [entry for entry in self._aside if entry[0].task.context not in self._pauses]
            self._aside = [entry for entry in self._aside if entry[0].task.context in self._pauses]
        for request, qos in due:
            if qos is not None and qos is self._consumer.qos:
                qos.decrement_eventually()
            if state.requests.get(request.id) is request:
                self.take(request)

    def running(self, context: str) -> list[str]:
        """The context's tasks that were begun and have not ended, in words."""
        now = time.monotonic()
        with self._lock:
            begun = [(request, at) for request, at in self._begun.items() if request.task.context == context]
        return [
            f"{request.name} [{request.id}] for {now - at:.0f} s"
            for request, at in begun
            if request in state.reserved_requests or request in state.active_requests
        ]


class Line(threading.Thread):
    """The worker's line to the control plane: tables come in, reports go out. Without it nothing new is paused."""

    def __init__(self, hostname: str, pauses: Pauses, desk: Desk) -> None:
        super().__init__(name="strangler-line", daemon=True)
        self._id = f"{hostname}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
        self._pauses, self._desk = pauses, desk
        self._over = threading.Event()

    def report(self) -> dict[str, Any]:
        """What this worker acknowledges; the same shape as a proxy's report."""
        paused = self._pauses.current()
        running = {name: self._desk.running(name) for name in paused}
        said = [text for texts in running.values() for text in texts]
        return {
            "id": self._id,
            "table": list(self._pauses.table),
            "held": {name: {"operation": operation, "drained": not running[name]} for name, operation in paused.items()},
            "error": f"it runs {', '.join(said)}" if said else "",
        }

    def run(self) -> None:
        lost = False
        while not self._over.is_set():
            try:
                self._stay()
                return
            except (redis.RedisError, OSError, ValueError, KeyError, TypeError) as error:
                if not lost:
                    log.warning("pausing.lost reason=%s", error)
                lost = True
                self._over.wait(BACK_OFF_S)

    def _stay(self) -> None:
        """Subscribes first and reads afterwards, so that nothing is missed in between."""
        client = long_client(ANSWER_S)
        with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe(TABLE)
            looked = -BEAT_S
            said: dict[str, Any] = {}
            self._fetch(client)
            while not self._over.is_set():
                message = pubsub.get_message(timeout=LOOK_S if self._pauses.current() else IDLE_S)
                beat = time.monotonic() - looked >= BEAT_S
                if message or beat:
                    self._fetch(client)
                now = self.report()
                if beat or now != said:
                    looked, said = time.monotonic(), now
                    self._send(client, said)
        client.hdel(WORKERS, self._id)

    def _fetch(self, client: redis.Redis) -> None:
        text: Any = client.get(TABLE)
        if text:
            self._pauses.apply(json.loads(text))

    def _send(self, client: redis.Redis, said: Mapping[str, Any]) -> None:
        text = json.dumps({**said, "at": time.time()})
        pipe = client.pipeline(transaction=False)
        pipe.hset(WORKERS, self._id, text)
        pipe.publish(WORKERS, text)
        pipe.execute()

    def end(self) -> None:
        """A worker that stops cleanly takes its report along, so that nobody waits for it."""
        self._over.set()
        self.join(ANSWER_S)


class Pausing(bootsteps.StartStopStep):  # type: ignore[misc]
    """The bootstep that puts desk and line into a worker; ``owner_task`` adds it to its app."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._pauses = Pauses()
        self._desk = Desk(consumer, self._pauses)
        consumer.on_task_request = self._desk.take
        self._line: Line | None = None
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Again after each lost connection to the broker; the line to the control plane is another one and stays."""
        self._timer = consumer.timer.call_repeatedly(LOOK_S, self._desk.resume)
        if self._line is None:
            self._line = Line(consumer.hostname, self._pauses, self._desk)
            self._line.start()

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def shutdown(self, consumer: Any) -> None:
        self.stop(consumer)
        if self._line is not None:
            self._line.end()
