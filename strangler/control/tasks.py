"""The tick: what must go on although nobody looks. Beat sends it every second; several at once do no harm."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from celery import shared_task
from celery.signals import worker_ready

from strangler import conf
from strangler.control import engine, publish, ramp, ramp_run, reconcile, retreat
from strangler.control.parity import drain as parity
from strangler.errors import LostLease, StranglerError
from strangler.sync import budget, follow, ownership, stranded
from strangler.sync import tasks as streams
from strangler.sync.database import discard_broken
from strangler.sync.recording import store

log = logging.getLogger("strangler.control")

BUDGET_EVERY_S = 5.0
_looked_at = -BUDGET_EVERY_S


def guard_identity() -> None:
    """A database that isn't the one in which the owner was written owns nothing until ``strangler reconcile`` (P16)."""
    for context in ownership.guard():
        log.error("ownership.identity_changed context=%s next=%r", context, f"strangler reconcile {context}")
        if conf.side() == "monolith":
            publish.publish_current()


def go_on() -> None:
    """The operation whose process died; a long step in slices, so that a worker stays free for the streams."""
    engine.resume(slice_s=15.0)


def keep_to_budgets() -> None:
    """P4: what waits in the outboxes, looked at every few seconds by each process that ticks."""
    global _looked_at
    if time.monotonic() - _looked_at >= BUDGET_EVERY_S:
        _looked_at = time.monotonic()
        budget.enforce()


def ramps() -> None:
    """Each ramp is looked at by a task of its own: a look may wait for proxies, and a check for drift takes its time."""
    for context in ramp_run.active():
        ramp_tick.apply_async((context,), expires=5)


def _parts() -> list[Callable[[], object]]:
    if conf.side() != "monolith":
        return [guard_identity, keep_to_budgets, follow.now_and_then]
    return [
        guard_identity,
        keep_to_budgets,
        retreat.retreat,
        go_on,
        ramps,
        publish.republish,
        reconcile.tell_owed,
        stranded.collect,
        streams.floor,
        follow.now_and_then,
        streams.sample,
        parity.drain,
        store.end_overdue,
    ]


@worker_ready.connect
def deployed(**_: object) -> None:
    """A worker that starts may come with a changed ``strangler.toml``: the proxies get what it declares now."""
    if conf.side() != "monolith":
        return
    try:
        if publish.redeclare():
            log.info("table.redeclared")
    except StranglerError as error:
        log.warning("table.redeclare_failed reason=%s", error)


@shared_task(name="strangler.tick", ignore_result=True)
def tick() -> None:
    """Each part on its own: one that fails (Redis away, service away) doesn't keep the others from running."""
    for part in _parts():
        _try(part.__name__, part)


@shared_task(name="strangler.ramp", ignore_result=True)
def ramp_tick(context: str) -> None:
    """One look at a ramp, then a check for drift if it is time. Safe to run twice at once, never fails."""
    discard_broken()
    _try("ramp.look", lambda: ramp.look(context))
    _try("ramp.check", lambda: ramp.check(context))


def _try(name: str, part: Callable[[], object]) -> None:
    try:
        part()
    except LostLease:
        pass  # another one was quicker
    except StranglerError as error:
        log.warning("tick.waits part=%s reason=%s", name, error)
    except Exception:
        log.exception("tick.failed part=%s", name)
