"""What a lifted service holds back while it is not the owner (P26): a shadowed GET must not send, publish or save twice.

Mail by ``EmailBackend``, tasks by ``silence_celery``, sessions by ``identity.SessionMiddleware``; caches have a prefix of their
own. Each act held back is counted, and ``/metrics`` tells the numbers of its process.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from celery import Celery
from celery.utils import uuid
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from strangler import conf
from strangler.seams import rehearsing
from strangler.seams.tasks import FORWARDED
from strangler.sync import ownership

KINDS = ("mail", "task", "session")
_suppressed: Counter[str] = Counter()
_lock = Lock()


def owns_here() -> bool:
    """Is this service the owner of its context now, and not only rehearsing?"""
    return not rehearsing.here() and ownership.get(conf.setting("CONTEXT")).here


def suppress(kind: str, number: int = 1) -> None:
    """Count ``number`` acts of ``kind`` that were held back."""
    with _lock:
        _suppressed[kind] += number


def suppressed() -> Mapping[str, int]:
    """How much this process has held back, of each kind, since it started."""
    with _lock:
        return {kind: _suppressed[kind] for kind in KINDS}


def metrics() -> list[str]:
    """The numbers as lines of Prometheus text."""
    return [
        "# HELP strangler_suppressed_total Acts held back because this service was not the owner.",
        "# TYPE strangler_suppressed_total counter",
        *(f'strangler_suppressed_total{{kind="{kind}"}} {number}' for kind, number in suppressed().items()),
    ]


class EmailBackend(BaseEmailBackend):
    """``STRANGLER_EMAIL_BACKEND``, the project's own, while the service is the owner; else mail is counted as if it were sent."""

    def __init__(self, fail_silently: bool = False, **options: Any) -> None:
        super().__init__(fail_silently=fail_silently)
        self.options = options

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        if not owns_here():
            suppress("mail", len(email_messages))
            return len(email_messages)
        backend = get_connection(settings.STRANGLER_EMAIL_BACKEND, fail_silently=self.fail_silently, **self.options)
        return backend.send_messages(email_messages) or 0


def silence_celery() -> None:
    """Put every Celery application of this process under ``may_publish``. Idempotent.

    At ``send_task``, through which each way to publish leads; a receiver of ``before_task_publish`` can't stop a message.
    """
    publish = Celery.send_task
    if hasattr(publish, "strangler_quiet"):
        return

    @functools.wraps(publish)
    def send_task(self: Celery, name: str, *args: Any, **options: Any) -> Any:
        if may_publish(name, options):
            return publish(self, name, *args, **options)
        suppress("task")
        return self.AsyncResult(options.get("task_id") or uuid())

    send_task.strangler_quiet = True  # type: ignore[attr-defined]
    Celery.send_task = send_task


def may_publish(name: str, options: Mapping[str, Any]) -> bool:
    """Our own messages; units of work that exist already, forwarded to the owner or retried; everything while this side owns.

    Of a rehearsal nothing.
    """
    if rehearsing.here():
        return False
    if name.startswith("strangler.") or FORWARDED in (options.get("headers") or {}) or options.get("retries"):
        return True
    return owns_here()
