"""What the provider tells by itself: signed events, each handled once, in whatever order they come."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from monolith.payments import services
from monolith.payments.models import Payment, ProviderEvent, Refund
from monolith.payments.provider import Answer
from monolith.problems import Problem

TOLERANCE_S = 300
MOST_BYTES = 64 * 1024
IN_RANGE = 2**63


class BadSignature(Problem):
    status = 401
    title = "Signature refused"


class BadEvent(Problem):
    status = 400
    title = "Not an event"


def sign(body: bytes, *, at: float | None = None) -> str:
    """The header ``Provider-Signature`` of the provider: ``t=UNIX,v1=HEX``."""
    stamp = str(int(time.time() if at is None else at))
    return f"t={stamp},v1={_digest(stamp, body)}"


def receive(body: bytes, signature: str) -> bool:
    """Keep a signed event and handle it; whether it was handled now or before. Raises ``BadSignature``, ``BadEvent``."""
    _check(body, signature)
    event = _parse(body)
    ProviderEvent.objects.bulk_create(
        [ProviderEvent(id=event["id"], kind=event["type"], payload=event["data"])], ignore_conflicts=True
    )
    return handle(event["id"])


@transaction.atomic
def handle(event_id: str) -> bool:
    """Whether it is done with. The event's row is locked, so a message that comes twice at once is handled once."""
    event = ProviderEvent.objects.select_for_update().get(pk=event_id)
    if event.handled_at is None and _apply(event):
        event.handled_at = timezone.now()
        event.save(update_fields=["handled_at"])
    return event.handled_at is not None


def handle_waiting(*, limit: int = 200) -> int:
    """Those whose payment was not there when they came; how many are done with now."""
    waiting = ProviderEvent.objects.filter(handled_at=None, kind__in=HANDLERS).order_by("received_at")
    return sum(handle(pk) for pk in waiting.values_list("pk", flat=True)[:limit])


def _digest(stamp: str, body: bytes) -> str:
    secret = settings.PAYMENT_WEBHOOK_SECRET.encode()
    return hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _check(body: bytes, signature: str) -> None:
    parts = dict(part.partition("=")[::2] for part in signature.split(","))
    stamp, given = parts.get("t", ""), parts.get("v1", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12 and given.isascii()):
        raise BadSignature("Send Provider-Signature: t=UNIX,v1=HEX.")
    if not hmac.compare_digest(_digest(stamp, body), given):
        raise BadSignature("The signature is not one of this body.")
    if abs(time.time() - int(stamp)) > TOLERANCE_S:
        raise BadSignature("The signature is too old; is the clock right?")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
        identity, kind, data = event["id"], event["type"], event["data"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadEvent("Send a JSON object with id, type and data.") from error
    texts = isinstance(identity, str) and isinstance(kind, str) and 0 < len(identity) <= 64 and 0 < len(kind) <= 40
    if not texts or not isinstance(data, dict) or "\0" in identity + kind or "\\u0000" in json.dumps(data):
        raise BadEvent("id and type are short texts, data is an object.")
    return {"id": identity, "type": kind, "data": data}


def _apply(event: ProviderEvent) -> bool:
    """Whether it could be done. A kind that is not known is kept for people, and never done."""
    handler = HANDLERS.get(event.kind)
    return bool(handler) and handler(event.payload)  # type: ignore[misc]


def _number(data: dict[str, Any], name: str) -> int:
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < IN_RANGE else 0


def _charge(data: dict[str, Any], state: str) -> bool:
    payment = Payment.objects.filter(pk=_number(data, "payment")).first()
    if payment is None:
        return False
    answer = Answer(state, str(data.get("reference", ""))[:100], str(data.get("reason", ""))[:200])
    for expected in (Payment.State.PROCESSING, Payment.State.AUTHORISED):
        if payment.state == expected:
            services.record_answer(payment, answer, expected=expected)
    return True


def _refund(data: dict[str, Any], *, done: bool) -> bool:
    refund = Refund.objects.filter(pk=_number(data, "refund")).first()
    if refund is None:
        return False
    if done:
        services.refund_done(refund, reference=str(data.get("reference", ""))[:100])
    else:
        services.refund_failed(refund, reason=str(data.get("reason", "")))
    return True


HANDLERS = {
    "charge.captured": lambda data: _charge(data, "captured"),
    "charge.failed": lambda data: _charge(data, "declined"),
    "refund.done": lambda data: _refund(data, done=True),
    "refund.failed": lambda data: _refund(data, done=False),
}
