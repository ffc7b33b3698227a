"""A batch of changes comes in, whichever way; and what is answered when something goes wrong."""

from __future__ import annotations

from typing import Any

from django.db.utils import Error
from django.http import HttpResponse

from strangler.domain.envelope import BadEvent, from_json
from strangler.errors import StranglerError
from strangler.problems import from_error, problem
from strangler.sync import apply
from strangler.sync.database import message, sqlstate
from strangler.sync.garbage import uncollected

LARGEST = 64_000_000  # bytes of a batch


def take(body: bytes) -> dict[str, Any]:
    """The events of a CloudEvents batch become rows, in one transaction; what became of each. Raises what ``refusal`` knows."""
    if len(body) > LARGEST:
        raise BadEvent(f"the body is larger than {LARGEST} bytes")
    with uncollected():
        events = from_json(body)
    return apply.apply(events).to_json()


def refusal(error: Exception) -> HttpResponse | None:
    """The problem document for an error that a call of the contract may raise; None for one that is a bug."""
    if isinstance(error, BadEvent):
        return problem(400, "Bad request", str(error))
    if isinstance(error, StranglerError):
        return from_error(error)
    if not isinstance(error, Error):
        return None
    if sqlstate(error)[:2] == "22":
        return problem(400, "Bad request", message(error))
    answer = problem(503, "Database unavailable", message(error))
    answer["Retry-After"] = "1"
    return answer
