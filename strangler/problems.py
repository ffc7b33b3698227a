"""Problem documents (RFC 9457): what every error of the product looks like over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import JsonResponse

from strangler.errors import Fenced, Gone, Misconfigured, SchemaMismatch, ServiceUnavailable, StaleEpoch, StranglerError

CONTENT_TYPE = "application/problem+json"


def problem(status: int, title: str, detail: str = "", **extensions: Any) -> JsonResponse:
    """A problem document. ``extensions`` are further members, such as ``context`` or ``epoch``."""
    body = {"type": "about:blank", "title": title, "status": status, **({"detail": detail} if detail else {}), **extensions}
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)


def from_error(error: StranglerError) -> JsonResponse:
    """For an error of ours.

    409 stale epoch, 410 gone, 422 schema mismatch, 503 fenced or service away (with Retry-After), 500 else.
    """
    if isinstance(error, StaleEpoch):
        return problem(409, "Stale epoch", str(error))
    if isinstance(error, Gone):
        return problem(410, "Gone", str(error), floor=error.floor)
    if isinstance(error, SchemaMismatch):
        return problem(422, "Schema mismatch", str(error))
    if isinstance(error, Fenced):
        answer = problem(503, "Not the owner", str(error), context=error.context, owner=error.owner, epoch=error.epoch)
        answer["Retry-After"] = "1"
        return answer
    if isinstance(error, ServiceUnavailable):
        answer = problem(503, "Service unavailable", str(error))
        answer["Retry-After"] = "1"
        return answer
    return problem(500, "Misconfigured" if isinstance(error, Misconfigured) else "Failed", str(error))
