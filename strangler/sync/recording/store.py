"""Recorded writes in the monolith's database: switched on for a while, capped in number and age."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from strangler.errors import Misuse
from strangler.sync.database import alias, count, rows
from strangler.sync.databases.port import Statement
from strangler.sync.recording import effects
from strangler.sync.recording.models import Effect, RecordedWrite, Recording

MOST_ROWS, MOST_AGE, MOST_TIME = 500, timedelta(hours=24), timedelta(hours=24)
TRIM = """
DELETE FROM strangler_recorded_write WHERE context = %s AND id <= (
  SELECT id FROM strangler_recorded_write WHERE context = %s ORDER BY id DESC LIMIT 1 OFFSET %s
)
"""


def start(context: str, *, share: float, lasting: timedelta, who: str) -> Recording:
    """Records a share of the context's writes from now on. Raises ``Misuse``."""
    if not 0 < share <= 1:
        raise Misuse(f"--share {share:g}: a share is more than 0 and at most 1")
    if not timedelta(0) < lasting <= MOST_TIME:
        raise Misuse(f"--for: at most {MOST_TIME.total_seconds() / 3600:.0f} h")
    trim(context)
    effects.install(context)
    row, _ = Recording.objects.using(alias()).update_or_create(
        context=context, defaults={"share": share, "until": Now() + lasting, "who": who}
    )
    row.refresh_from_db()
    return row


def stop(context: str, *, forget: bool = False, using: str | None = None, patience_s: float = 30.0) -> int:
    """No more is recorded, and no table of the context has a trigger of it. Gives how many are kept; none with ``forget``.

    The row is over first and goes last: where a table is too busy for its triggers to go, the tick tries again.
    """
    recording = Recording.objects.using(alias(using)).filter(context=context)
    recording.filter(until__gt=Now()).update(until=Now())
    effects.uninstall(context, using, patience_s=patience_s)
    recording.filter(until__lte=Now()).delete()
    if forget:
        RecordedWrite.objects.using(alias(using)).filter(context=context).delete()
    trim(context, using)
    return RecordedWrite.objects.using(alias(using)).filter(context=context).count()


def end_overdue() -> list[str]:
    """Recordings whose time is over; their triggers go. Gives their contexts. The tick calls it, and does not wait for a lock."""
    over = Recording.objects.using(alias()).filter(until__lt=Now()).values_list("context", flat=True)
    ended = list(over)
    for context in ended:
        stop(context, patience_s=0.0)
    return ended


def keep(write: RecordedWrite, noted_as: str) -> None:
    """Stores one; forgets what is beyond the cap.

    Not where the recording ended meanwhile: the triggers go after its row, so what the write did may not have been noted.
    """
    if not Recording.objects.using(alias()).filter(context=write.context, until__gt=Now()).exists():
        return
    write.save(using=alias())
    rows("DELETE FROM strangler_effect WHERE write = %s", [noted_as])
    trim(write.context)


def trim(context: str, using: str | None = None) -> None:
    """Down to ``MOST_ROWS``, and none older than ``MOST_AGE``."""
    RecordedWrite.objects.using(alias(using)).filter(at__lt=Now() - MOST_AGE).delete()
    Effect.objects.using(alias(using)).filter(noted_at__lt=Now() - timedelta(minutes=10)).delete()  # of processes that died
    count(Statement(TRIM), [context, context, MOST_ROWS], using)


def last(context: str, number: int) -> list[RecordedWrite]:
    """The last ``number``, the oldest first."""
    found = RecordedWrite.objects.using(alias()).filter(context=context).order_by("-id")[:number]
    return list(found)[::-1]
