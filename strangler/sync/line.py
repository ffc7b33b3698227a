"""A connection to the broker on which one delivery at a time is sent and its answer waited for, with a bound on every step."""

from __future__ import annotations

import os
import select
import time
from typing import Any

from celery import current_app
from kombu import Consumer, Queue
from kombu.exceptions import DecodeError, OperationalError

from strangler.sync import mail

CONNECT_S = 1.0
CALL_S = 2.0  # for the broker to answer one call, or to take one batch
# Kombu's transports read what is theirs. No step is tried again here: the relay does that, with a back-off.
PATIENCE = {"max_retries": 0, "interval_start": 0, "socket_connect_timeout": CONNECT_S, "socket_timeout": CALL_S}


class Line:
    """Raises ``OperationalError`` or ``OSError`` where no connection can be made; later one of ``errors``."""

    def __init__(self) -> None:
        self.pid, self.url = os.getpid(), current_app.conf.broker_write_url
        self._connection = current_app.connection_for_write(connect_timeout=CONNECT_S, transport_options=PATIENCE)
        self.errors: tuple[type[BaseException], ...] = (
            *self._connection.connection_errors,
            *self._connection.channel_errors,
            OperationalError,
            OSError,
        )
        limit(self._connection, CALL_S)
        self._channel = self._connection.default_channel
        self._consumer: Consumer | None = None
        self._lane, self._queue = "", ""
        self._arrived: list[Any] = []

    def open(self, queue: str, lane: str) -> int:
        """Ready to send to ``queue`` and to read ``lane``; how many messages nobody has taken from ``queue``."""
        self._queue, self._lane, self._arrived = queue, lane, []
        waiting = current_app.amqp.queues[queue](self._channel).queue_declare().message_count
        self._channel.queue_declare(queue=lane, durable=True, auto_delete=False, arguments={"x-expires": mail.UNUSED_MS})
        self._consumer = Consumer(
            self._channel, [Queue(lane)], no_ack=True, auto_declare=False, accept=["json"], on_message=self._arrived.append
        )
        self._consumer.consume()
        return int(waiting)

    def send(self, task: str, args: list[Any], *, delivery: str) -> None:
        current_app.send_task(
            task,
            args=args,
            task_id=delivery,
            queue=self._queue,
            reply_to=self._lane,
            expiration=mail.LIFE_S,
            producer=current_app.amqp.Producer(self._channel, auto_declare=False),
            retry=False,
            ignore_result=True,
            serializer="json",
            add_to_parent=False,
        )

    def receive(self, until: float) -> Any:
        """What a message of the lane says: a task's args, kwargs and links. None when the monotonic clock shows ``until``."""
        while not self._arrived:
            left = until - time.monotonic()
            if left <= 0:
                return None
            try:
                self._connection.drain_events(timeout=left)
            except TimeoutError:
                continue
        try:
            return self._arrived.pop(0).payload
        except (DecodeError, ValueError) as error:
            return [[str(error)]]

    def rest(self) -> None:
        """Stop reading the lane."""
        if self._consumer is not None:
            self._consumer.cancel()
            self._consumer = None

    def close(self) -> None:
        try:
            drop(self._connection)
        except self.errors:
            pass  # it was broken


def limit(connection: Any, seconds: float) -> None:
    """Connects. From then on no single step of the broker is waited for any longer. Raises as ``Line`` does.

    Redis has options for it. py-amqp has not: its ``read_timeout`` starts the same read again, so the socket itself is told.
    """
    connection.ensure_connection(max_retries=0, interval_start=0)
    socket = _amqp_socket(connection)
    if socket is not None:
        socket.settimeout(seconds)


def is_quiet(connection: Any) -> bool:
    """Whether a connection that only publishes is as it was left. AMQP: what there is to read is the broker's good-bye."""
    socket = _amqp_socket(connection)
    return socket is None or not select.select([socket], [], [], 0)[0]


def drop(connection: Any) -> None:
    """Close without waiting for the broker, which may be what does not answer."""
    if _amqp_socket(connection) is not None:
        connection.collect()  # no good-bye
    connection.release()


def _amqp_socket(connection: Any) -> Any:
    if not connection.connected:  # else asking would connect it, with kombu's patience
        return None
    return getattr(getattr(connection.connection, "transport", None), "sock", None)
