"""The service's end of the transport ``celery``: a batch comes as a task and is taken as if it had come by HTTP (ADR 15)."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import current_app, shared_task
from kombu import Queue

from strangler import conf
from strangler.domain import wire
from strangler.domain.tokens import BadToken
from strangler.problems import problem
from strangler.replica.changes import refusal, take
from strangler.sync import mail
from strangler.sync.database import discard_broken

log = logging.getLogger("strangler.replica")


@shared_task(name=mail.APPLY, bind=True, ignore_result=True, acks_late=False)
def apply(self: Any, body: str, seal: str) -> None:
    """Apply a batch and send the answer to where it is waited for. Idempotent, in any order, and never fails.

    Acknowledged to the broker before it runs: what is lost with this worker the relay sends again, and no batch can kill one
    worker after the other.
    """
    context, delivery, lane = str(conf.setting("CONTEXT")), str(self.request.id), self.request.reply_to
    status, answer = _answer(context, delivery, body, seal)
    if not mail.is_lane(lane):
        log.warning("apply.unanswerable delivery=%s reply_to=%r", delivery, lane)
        return
    _acknowledge(context, delivery, lane, status, answer)


def _answer(context: str, delivery: str, body: str, seal: str) -> tuple[int, str]:
    """Status and body as HTTP would have them."""
    try:
        mail.check_batch(conf.service_secret(), seal, body, context=context, delivery=delivery, now=time.time())
    except BadToken as error:
        log.warning("apply.refused delivery=%s reason=%s", delivery, error)
        return _told(problem(401, "Unauthorized", f"a batch sealed for {context} is needed: {error}"))
    try:
        discard_broken()
        return 200, wire.dumps(take(body.encode()))
    except Exception as error:
        answer = refusal(error)
        if answer is None:
            log.exception("apply.failed delivery=%s", delivery)
            answer = problem(500, "Failed", f"{type(error).__name__}; the service's log has the reason")
        return _told(answer)


def _told(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.content.decode()


def _acknowledge(context: str, delivery: str, lane: str, status: int, body: str) -> None:
    """One that can't be sent is one that was lost: the relay's round fails, and the next one is told that all is there."""
    seal = mail.seal_answer(conf.service_secret(), status, body, context=context, delivery=delivery, now=time.time())
    try:
        current_app.send_task(
            mail.ACKNOWLEDGE,
            args=[delivery, status, body, seal],
            queue=Queue(lane),
            declare=[],  # by who waits there; where nobody does RabbitMQ drops it
            expiration=mail.LIFE_S,
            retry=False,
            ignore_result=True,
            serializer="json",
            add_to_parent=False,
        )
    except Exception as error:  # whatever the broker's client raises
        log.warning("apply.unacknowledged delivery=%s error=%s", delivery, error)
