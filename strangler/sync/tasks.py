"""The Celery tasks that carry the streams. A message only says "look"; what there is to do stands in the database."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db.utils import Error

from strangler.errors import LostLease, StranglerError
from strangler.sync import relay, reverse, sampling, streams, wake
from strangler.sync.database import discard_broken, message, value

log = logging.getLogger("strangler.sync")


@shared_task(name="strangler.run", ignore_result=True)
def run(stream: str) -> int:
    """Carry the stream while there is work; the number of rounds. Idempotent, safe to run twice at once, never fails.

    An error stands on the stream, which backs off; the periodic task comes back to it.
    """
    try:
        discard_broken()
        kind = value("SELECT kind FROM strangler_stream WHERE name = %s AND state = 'live'", [stream])
        if kind is None:
            return 0
        return (reverse if kind == "reverse" else relay).run(stream, linger=True)
    except LostLease:
        return 0
    except (StranglerError, Error, OSError) as error:
        log.warning("stream.failed stream=%s error=%s", stream, message(error))
        return 0


def sample() -> str | None:
    """A window of rows compared, if one is due; for the periodic task."""
    discard_broken()
    return sampling.step()


def floor() -> int:
    """Wake every live stream; for the periodic task. Where nobody can be woken it is carried right here."""
    found = streams.live()
    for name, _ in found:
        if not wake.wake(name) and not wake.is_asked(name):
            run(name)
    return len(found)
