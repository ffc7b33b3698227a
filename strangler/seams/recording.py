"""Recording a share of the real writes on the monolith, to be rehearsed against the service (``sync.recording``).

It never changes an answer and never fails a request: what can't be kept is left out. Whether anything is recorded comes along
with what is asked of the database after each write anyway (``middleware.HERE``): where nothing is, a request pays for one look at
a variable. So a recording begins, in each process, with the write after the next one.

A recorded write's transactions say which write they are, each by a setting of its own (``SET LOCAL``), so that a connection pool
may hand the session to others in between; the triggers of ``sync.recording.effects`` then note rows under it.
"""

from __future__ import annotations

import logging
import random
import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import connections, transaction
from django.http import HttpRequest, HttpResponseBase

from strangler import conf
from strangler.domain import wire
from strangler.domain.estate import Estate, Route
from strangler.domain.paths import normal
from strangler.domain.routes import Matcher, Rule
from strangler.seams.stamps import SAFE_METHODS
from strangler.sync.recording import effects, secrets, store
from strangler.sync.recording.models import RecordedWrite

log = logging.getLogger("strangler.seams")
Respond = Callable[[HttpRequest], HttpResponseBase]
WRITES = re.compile(r"\s*(?:/\*.*?\*/\s*)*(insert|update|delete|merge|with|truncate|copy|call|do)\b", re.I | re.S)
SAY = "SELECT set_config('strangler.recorded', %s, true)"
FRESH_S = 60.0
_known: tuple[float, dict[str, float]] = (0.0, {})
_compiled: tuple[Estate, Matcher[tuple[str, str]]] | None = None


def learn(listed: list[str]) -> None:
    """``["payments 0.01"]``: what is recorded now, as the database says."""
    global _known
    _known = (time.monotonic() + FRESH_S, {name: float(share) for name, share in (item.split() for item in listed)})


def run(request: HttpRequest, respond: Respond) -> HttpResponseBase:
    """The request's answer; recorded where it is to be."""
    until, shares = _known
    if not shares or time.monotonic() > until or conf.side() == "service":
        return respond(request)
    context = _written_by(request)
    if random.random() >= shares.get(context, 0.0):
        return respond(request)
    return _recorded(request, respond, context)


def _written_by(request: HttpRequest) -> str:
    """The context whose route the request is for, if it writes; else nothing."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    matched = _matcher(conf.load()[0]).match(request.method or "", normal(request.path_info), headers)
    if matched is None:
        return ""
    context, access = matched[1]
    is_read = access == "read" or (access == "auto" and request.method in SAFE_METHODS)
    return "" if is_read else context


def _matcher(estate: Estate) -> Matcher[tuple[str, str]]:
    global _compiled
    if _compiled is None or _compiled[0] is not estate:
        routes = ((route, context.name) for context in estate.contexts.values() for route in context.routes)
        _compiled = (estate, Matcher((_rule(route), (name, str(route.access))) for route, name in routes))
    return _compiled[1]


def _rule(route: Route) -> Rule:
    return Rule(path=route.path, pattern=route.pattern, prefix=route.prefix, methods=frozenset(route.methods))


def _recorded(request: HttpRequest, respond: Respond, context: str) -> HttpResponseBase:
    if int(request.META.get("CONTENT_LENGTH") or 0) > secrets.MOST_BYTES:
        return respond(request)
    body = request.body  # kept, so that the view can read it again
    if not secrets.may_keep(body, request.content_type or "", request.META.get("QUERY_STRING", "")):
        return respond(request)
    noted_as, began, at = str(uuid.uuid4()), time.monotonic(), datetime.now(UTC)
    with connections[conf.setting("DATABASE")].execute_wrapper(_Saying(effects.setting(context, noted_as))):
        response = respond(request)
    try:
        write = RecordedWrite(context=context, at=at, took_ms=(time.monotonic() - began) * 1000, body=body)
        if _described(write, request, response):
            write.effects = wire.dumps(effects.noted(context, noted_as))
            store.keep(write, noted_as)
    except Exception:  # whatever it is, the user's request is done and has its answer
        log.exception("recording.failed context=%s", context)
    return response


def _described(write: RecordedWrite, request: HttpRequest, response: HttpResponseBase) -> bool:
    """False for what can't be compared: an answer that streams or is too long, a request that was not executed."""
    content = None if response.streaming else response.content  # type: ignore[attr-defined]
    if content is None or len(content) > secrets.MOST_BYTES or response.status_code in (421, 503):
        return False
    match, user = request.resolver_match, _user(request)
    write.method, write.target = request.method or "", request.get_full_path()
    write.endpoint = f"{request.method} /{match.route if match else ''}"
    write.headers, write.content_type = secrets.headers(request.headers), request.META.get("CONTENT_TYPE", "")
    write.user = str(user.pk) if user is not None and user.is_authenticated else ""
    write.status, write.answer = response.status_code, content
    write.answer_headers = {name.lower(): value for name, value in secrets.headers(response.headers).items()}
    write.answer_headers["content-type"] = response.get("Content-Type", "")
    return True


def _user(request: HttpRequest) -> Any:
    """Who asked, as the view came to know: Django REST framework tells the request that it was given."""
    return getattr(request, "user", None)


class _Saying:
    """Says in each transaction that writes which write it is."""

    def __init__(self, said: str) -> None:
        self.said = said

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        connection = context["connection"]
        if not WRITES.match(sql if isinstance(sql, str) else str(sql)):
            return execute(sql, params, many, context)
        if connection.in_atomic_block or not connection.get_autocommit():
            self._say(connection)
            return execute(sql, params, many, context)
        with transaction.atomic(using=connection.alias):  # the statement alone is a transaction, as it would be by itself
            self._say(connection)
            return execute(sql, params, many, context)

    def _say(self, connection: Any) -> None:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute(SAY, [self.said])
