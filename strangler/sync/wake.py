"""Waking a worker at commit (P12). A message only says "look"; the outbox is the truth, and the periodic task is the floor.

At most one message is under way per stream: ``SET NX`` on a key that lives one second. The holder of the stream deletes the key
at the start of each round and looks at it again before and after it gives the lease back. So a commit that found the key set is
seen by a round that starts later than that commit, and one that found it absent sends a message.

A message through the broker costs both ends milliseconds, and a worker a connection to the database. So while a holder works, or
has nothing left to do and lingers for a moment, who asks pushes to a list that it looks at. If it dies there, that one nudge is
lost, and the floor comes within a second or two.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Any

import redis
from celery import current_app

from strangler.sync import line
from strangler.sync.broker import client, long_client

log = logging.getLogger("strangler.sync")

TASK = "strangler.run"
QUEUE = "strangler"
KEY = "strangler:wake:"
HELD = "strangler:held:"
NUDGE = "strangler:nudge:"
HURRY = "strangler:hurry:"
LIFE_MS = 1000
LINGER_S = 1.0
# KEYS: asked, held, nudge. ARGV: milliseconds. Answers 0: asked already, 1: a holder was nudged, 2: tell the broker.
ASK = """
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then return 0 end
if redis.call('EXISTS', KEYS[2]) == 0 then return 2 end
redis.call('RPUSH', KEYS[3], 1)
redis.call('PEXPIRE', KEYS[3], ARGV[1])
return 1
"""
BACKOFF_S = 1.0
STEP_S = 0.05  # no publisher waits longer than this for a step of a broker that is away
QUICK = {"socket_connect_timeout": STEP_S, "socket_timeout": STEP_S, "max_retries": 0, "confirm_publish": False}

failures = 0
_silent_until = 0.0
_local = threading.local()


def wake(stream: str) -> bool:
    """Ask for a run of the stream; True if nobody had asked yet. Takes at most about 50 ms, never raises; failures are counted.

    After a failure this process asks nobody for a second, so that a broker that is down costs requests nothing.
    """
    global failures, _silent_until
    if time.monotonic() < _silent_until:
        return False
    try:
        asked = client().eval(ASK, 3, KEY + stream, HELD + stream, NUDGE + stream, LIFE_MS)
        if asked == 2:
            _send(stream)
        return bool(asked)
    except Exception as error:  # whatever the broker's client raises: the committed request must not fail (P12)
        failures += 1
        _silent_until = time.monotonic() + BACKOFF_S
        _hang_up()
        log.warning("wake.failed stream=%s failures=%d error=%s", stream, failures, error)
        return False


def is_asked(stream: str) -> bool:
    """Whether somebody has asked since the last ``clear``. False where Redis does not answer: the floor will come."""
    try:
        return bool(client().exists(KEY + stream))
    except redis.RedisError:
        return False


def hold(stream: str) -> None:
    """At the start of a round: what is asked from now on needs another one, and is told to the holder alone."""
    try:
        with client().pipeline(transaction=True) as pipeline:
            pipeline.set(HELD + stream, 1, px=int(LINGER_S * 1000) + LIFE_MS)
            pipeline.delete(KEY + stream, NUDGE + stream)
            pipeline.execute()
    except redis.RedisError as error:
        log.debug("wake.unheld stream=%s error=%s", stream, error)


def linger(stream: str, seconds: float = LINGER_S) -> bool:
    """Wait until somebody asks, at the most so long; whether somebody did, since ``hold``. For the holder of the stream."""
    try:
        return _patient().blpop([NUDGE + stream], timeout=seconds) is not None
    except redis.RedisError:
        return False


def gather(stream: str, seconds: float) -> None:
    """Let more come together, unless somebody is in a hurry. For the holder, between two rounds."""
    if seconds > 0:
        try:
            _patient().blpop([HURRY + stream], timeout=seconds)
        except redis.RedisError:
            return


def hurry(stream: str) -> None:
    """Ask as ``wake`` does, and have what is under way not wait for more: for a hand-over, while writes are parked."""
    wake(stream)
    try:
        with client().pipeline(transaction=True) as pipeline:
            pipeline.delete(HURRY + stream)
            pipeline.rpush(HURRY + stream, 1)
            pipeline.pexpire(HURRY + stream, LIFE_MS)
            pipeline.execute()
    except redis.RedisError as error:
        log.debug("wake.unhurried stream=%s error=%s", stream, error)


def leave(stream: str) -> None:
    """The holder goes: whoever asks from now on sends a message. Look at ``is_asked`` once more afterwards."""
    try:
        client().delete(HELD + stream, NUDGE + stream)
    except redis.RedisError as error:
        log.debug("wake.unleft stream=%s error=%s", stream, error)


def pass_on(stream: str) -> None:
    """The holder's time is over, and there may be more. Who asked meanwhile has told it alone, so the next one gets a message."""
    try:
        client().delete(KEY + stream)
    except redis.RedisError as error:
        log.debug("wake.unpassed stream=%s error=%s", stream, error)
    wake(stream)


def _patient() -> redis.Redis:
    """A client that may wait as long as a holder lingers."""
    return long_client(LINGER_S + 1.0)


def _send(stream: str) -> None:
    current_app.send_task(TASK, args=[stream], queue=QUEUE, retry=False, connection=_connection(), ignore_result=True)


def _connection() -> Any:
    """This thread's own connection to the broker, with short time limits; the application's stays as it is configured."""
    kept = getattr(_local, "connection", None)
    if kept is not None and not line.is_quiet(kept):
        _hang_up()
        kept = None
    if kept is None:
        kept = _local.connection = current_app.connection_for_write(transport_options=QUICK, connect_timeout=STEP_S)
        line.limit(kept, STEP_S)
    return kept


def _hang_up() -> None:
    kept, _local.connection = getattr(_local, "connection", None), None
    if kept is not None:
        with contextlib.suppress(Exception):  # it was broken
            line.drop(kept)
