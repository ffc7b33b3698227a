"""Answers that the proxy makes itself: RFC 9457 problem documents, as finished bytes."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """``kind`` is a stable word for metrics and for machines; ``detail`` tells people what happened and what to do."""

    status: int
    kind: str
    detail: str
    retry_after: int | None = None
    lines: str = ""
    """More header lines, each with its end."""


BAD_REQUEST = 400
NOT_FOUND = Problem(404, "not-found", "Nothing is served at this path.")
NO_TABLE = Problem(503, "no-table", "The proxy has no route table yet; it comes from the control plane or from --table.", 1)
UNIDENTIFIED = Problem(503, "unidentified", "The monolith did not say who is asking; nothing was executed. Try again.", 1)
HELD = Problem(503, "held", "The owner of this data is changing and the hold ran out; nothing was executed. Try again.", 1)
HOLD_FULL = Problem(503, "hold-full", "Too many writes wait for the owner of this data to change; nothing was executed.", 1)
MISDIRECTED = Problem(503, "misdirected", "No side would execute this request just now; nothing was executed. Try again.", 1)
UNREACHABLE = Problem(503, "unreachable", "The application behind the proxy accepts no connection; nothing was executed.", 1)
BUSY = Problem(503, "busy", "Too many requests wait for the application behind the proxy; nothing was executed.", 1)
FULL = Problem(503, "connections", "The proxy has as many connections as it may have; nothing was executed.", 1)
DELAYED = Problem(503, "total-time", "The request could not be passed on in the time that it may take; nothing was executed.", 1)
BROKEN = Problem(502, "broken-answer", "The application broke off or answered rubbish; it may have executed the request.")
TIMED_OUT = Problem(504, "timed-out", "The application did not answer in time; it may have executed the request.")
BODY_TOO_SLOW = Problem(408, "timed-out-request", "The request did not arrive in time.")
BODY_TOO_LARGE = Problem(413, "body-too-large", "The request's body is larger than the proxy lets through.")
HEAD_TOO_LARGE = Problem(431, "head-too-large", "The request's header fields are too large.")
TARGET_TOO_LONG = Problem(414, "target-too-long", "The request's target is too long.")


OTHER_VERSION = "this version of HTTP is not spoken here"
NO_TUNNELS = "CONNECT is not served here"
_NOT_400 = {OTHER_VERSION: 505, NO_TUNNELS: 501}


def refusal(reason: str) -> Problem:
    return Problem(_NOT_400.get(reason, BAD_REQUEST), "bad-request", f"The request was refused: {reason}.")


def forgery(wrong: str, header: str, *, unread: bool) -> Problem:
    """``unread``: its body is none that is searched for the token."""
    how = f"The body is no urlencoded form of up to 64 kB: send the token in the header {header}." if unread else ""
    return Problem(403, "csrf", f"The request was refused as a possible forgery: {wrong}. {how}".rstrip())


def document(problem: Problem, **members: Any) -> bytes:
    body = {
        "type": f"urn:strangler:{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        **members,
    }
    return json.dumps(body).encode()


def answer(problem: Problem, *, close: bool, bodiless: bool = False, request_id: bytes = b"") -> bytes:
    """The whole HTTP/1.1 response. ``bodiless`` for HEAD: the length stands, the body is left out."""
    body = document(problem, **({"request_id": request_id.decode("latin-1")} if request_id else {}))
    head = (
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\nCache-Control: no-store\r\n"
    )
    if problem.retry_after is not None:
        head += f"Retry-After: {problem.retry_after}\r\n"
    head += problem.lines
    if close:
        head += "Connection: close\r\n"
    return head.encode() + b"\r\n" + (b"" if bodiless else body)
