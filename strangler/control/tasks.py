"""The tick: what must go on although nobody looks. Beat sends it every second; several at once do no harm."""

from __future__ import annotations

import logging
from collections.abc import Callable

from celery import shared_task

from strangler import conf
from strangler.control import engine, publish, reconcile
from strangler.errors import LostLease, StranglerError
from strangler.sync import ownership, wake
from strangler.sync.models import Stream

log = logging.getLogger("strangler.control")


def guard_identity() -> None:
    """A database that isn't the one in which the owner was written owns nothing until ``strangler reconcile`` (P16)."""
    for context in ownership.guard():
        log.error("ownership.identity_changed context=%s next=%r", context, f"strangler reconcile {context}")
        if conf.side() == "monolith":
            publish.publish_current()


def run_floors() -> None:
    """Every live stream is woken, so that none depends on a message that got lost (P12)."""
    alias = conf.setting("DATABASE")
    live = Stream.objects.using(alias).filter(state=Stream.State.LIVE).exclude(kind=Stream.Kind.FEED)
    for name in live.values_list("name", flat=True):
        wake.wake(name)


def _monolith() -> list[Callable[[], object]]:
    return [guard_identity, engine.resume, publish.republish, reconcile.tell_owed, run_floors]


@shared_task(name="strangler.tick", ignore_result=True, queue="strangler")
def tick() -> None:
    """Each part on its own: one that fails (Redis away, service away) doesn't keep the others from running."""
    for part in _monolith() if conf.side() == "monolith" else [guard_identity]:
        try:
            part()
        except LostLease:
            pass  # another tick was quicker
        except StranglerError as error:
            log.warning("tick.waits part=%s reason=%s", part.__name__, error)
        except Exception:
            log.exception("tick.failed part=%s", part.__name__)
