"""Celery tasks that belong to a context run on its owner only (P19)."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from celery import Task, current_app, shared_task
from celery.exceptions import Ignore

from strangler import conf
from strangler.domain.estate import Context
from strangler.seams.claims import Claim, resolve
from strangler.seams.errors import Fenced, NotOwner
from strangler.sync import fence

FORWARDED = "strangler_forwarded"
LONGEST_PAUSE_S = 30.0


def owner_task(context: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A shared task of ``context``: ``@owner_task("payments")`` in place of ``@shared_task``, with the same options.

    Delivered to a side that is not the owner, it is forwarded under the same id, with its links, to the queue of the owner.
    Fenced, it is tried again for ever, with a pause that grows to 30 s, and resolves the owner anew; so it must be idempotent.
    Called as a plain function it just runs.
    """
    return shared_task(base=OwnerTask, context=context, **options)  # type: ignore[no-any-return]


def astray(context: Context) -> list[str]:
    """The tasks in the context's apps that are no ``owner_task`` of it."""
    within = tuple(f"{app}." for app in context.apps)
    mine = [task for task in _known(context) if f"{task.__module__}.".startswith(within)]
    return sorted(task.name for task in mine if getattr(task, "context", "") != context.name)


def owned(context: Context) -> list[str]:
    """The names of its ``owner_task``s, which a hand-over pauses."""
    return sorted(task.name for task in _known(context) if getattr(task, "context", "") == context.name)


def _known(context: Context) -> list[Any]:
    for app in context.apps:
        if find_spec(f"{app}.tasks"):
            import_module(f"{app}.tasks")
    current_app.finalize(auto=True)
    return list(current_app.tasks.values())


def queue_of(context: str, which: Claim) -> str:
    """The queue that the unit on this side, or on the other, consumes: ``monolith`` or the name of the context."""
    on_monolith = (conf.side() == "monolith") is (which is Claim.LOCAL)
    return "monolith" if on_monolith else context


class OwnerTask(Task):  # type: ignore[misc]
    """Runs where ``context`` is owned; see ``owner_task``."""

    abstract = True
    context = ""
    max_retries = None

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """A worker of this app pauses such tasks while their context is handed over."""
        app.steps["consumer"].add("strangler.seams.pausing:Pausing")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.request.called_directly:
            return self.run(*args, **kwargs)
        try:
            if resolve(self.context) is Claim.REMOTE:
                self._forward()
            with fence.translate():
                return self.run(*args, **kwargs)
        except (Fenced, NotOwner) as refused:
            raise self.retry(exc=refused, countdown=self._pause_s(), max_retries=None) from refused

    def _forward(self) -> None:
        """Publish the same unit of work, id and links included, to the owner's queue; this delivery ends without a result."""
        headers = {**(self.request.headers or {}), FORWARDED: conf.side()}
        signature = self.signature_from_request(self.request, queue=queue_of(self.context, Claim.REMOTE))
        signature.apply_async(headers=headers)
        raise Ignore(f"forwarded to the owner of {self.context}")

    def _pause_s(self) -> float:
        longest = min(LONGEST_PAUSE_S, 0.2 * 2 ** min(self.request.retries, 10))
        return random.uniform(longest / 2, longest)
