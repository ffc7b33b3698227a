"""One rehearsal: a recorded write, run by this service's own code in a transaction that never commits (service contract).

The request is the recorded one, with the header ``X-Strangler-Rehearse: TOKEN`` (a service token with the claim ``rehearse``) and
an envelope for a body: ``{"body": base64, "content_type", "user", "before": [{collection, key, row}]}``. The answer is an
envelope too: ``{"status", "headers", "body", "effects", "busy", "held_back", "calls"}``, where an effect is ``{collection, key,
kind, before, after}``, in the order in which rows were first touched.

1. One transaction on each database of the project, with short limits; origin ``rehearsal:…``, by which the fence lets it pass,
   capture marks its pointers, and a deferred trigger keeps it from ever committing.
2. The rows that the write touched are set to what they were before it: this side may have its effects already.
3. The request runs through the service's own middlewares and view.
4. The pointers of the transaction say which rows it touched: they are read as they are now, and, with the view's work undone,
   as they were.
5. All is rolled back.

No ownership lock is taken: a hand-over never waits for a rehearsal. Sequences go on: an id that was drawn is not given again.
Refused (409) while the service owns the context: then a rehearsal would compete with real writes.
"""

from __future__ import annotations

import base64
import contextlib
import io
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.db import connections
from django.db.utils import Error
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from strangler import conf
from strangler.domain import tokens, wire
from strangler.domain.envelope import Event, Op, Version
from strangler.errors import StranglerError
from strangler.problems import problem
from strangler.replica import quiet
from strangler.replica.changes import LARGEST
from strangler.replica.rehearsal import caches, egress
from strangler.replica.rehearsal.nested import Nested
from strangler.seams import rehearsing
from strangler.sync import collections as known
from strangler.sync import ownership
from strangler.sync.collections import Collection
from strangler.sync.database import alias, message, port, sqlstate
from strangler.sync.upsert import plain

HEADER = "HTTP_X_STRANGLER_REHEARSE"
IDENTITY = "HTTP_X_STRANGLER_IDENTITY"
CLAIM = "rehearse"
NO_SAVEPOINT = "3B001"
ENDED = "the handler ended the transaction by itself, past Django; nothing of it stays"
GetResponse = Callable[[HttpRequest], HttpResponseBase]

BEGIN = "SELECT set_config('strangler.origin', %s, true)"
NEVER_COMMIT = "INSERT INTO strangler_outbox (stream, collection, origin) VALUES ('', '', %s)"
AS_APPLIED = "SELECT set_config('session_replication_role', 'replica', true)"
AS_WRITTEN = "SELECT set_config('session_replication_role', 'origin', true)"
FLOOR = "SELECT max(id) FROM strangler_outbox WHERE origin = %s"
TOUCHED = """
SELECT collection, key FROM strangler_outbox WHERE origin = %s AND id > %s AND key IS NOT NULL
GROUP BY collection, key ORDER BY min(id)
"""


@dataclass(frozen=True)
class Asked:
    """What the envelope holds."""

    body: bytes
    content_type: str
    user: str
    before: tuple[Mapping[str, Any], ...]


@dataclass
class Outcome:
    effects: list[dict[str, Any]] = field(default_factory=list)
    busy: bool = False
    held_back: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)


def run(request: HttpRequest, respond: GetResponse) -> HttpResponseBase:
    """The answer to a request with the header. ``respond`` is the rest of the service."""
    context = str(conf.setting("CONTEXT"))
    try:
        claims = tokens.verify(conf.service_secret(), request.META[HEADER], audience=context, now=time.time())
        if claims.get(CLAIM) is not True:
            raise tokens.BadToken("it is not one for a rehearsal")
        asked = _asked(request)
    except tokens.BadToken as error:
        return problem(401, "Unauthorized", f"X-Strangler-Rehearse is not good here: {error}")
    except ValueError as error:
        return problem(400, "Bad request", str(error))
    others = [name for name in connections if connections[name].vendor != "postgresql"]
    if others or not isinstance(request, WSGIRequest):
        why = f"the database {others[0]!r} is none" if others else "it runs under ASGI"
        return problem(501, "Not implemented", f"a rehearsal needs PostgreSQL and WSGI: {why}")
    if ownership.get(context).here:
        return problem(409, "This is the owner", f"{context} is owned by this service; there is nothing to rehearse")
    return _rehearsed(context, _recorded(request, asked), asked, respond)


def _asked(request: HttpRequest) -> Asked:
    try:
        said = wire.loads(request.read(LARGEST))
        before = tuple(said["before"])
        if not all(isinstance(one["collection"], str) and isinstance(one["key"], str) and "row" in one for one in before):
            raise ValueError
        return Asked(base64.b64decode(said["body"]), str(said["content_type"]), str(said["user"]), before)
    except (ValueError, KeyError, TypeError):
        raise ValueError("the body is no envelope of a rehearsal") from None


def _recorded(request: WSGIRequest, asked: Asked) -> WSGIRequest:
    """The request as it was recorded, made by whom it was made."""
    environ = {name: value for name, value in request.environ.items() if name not in (HEADER, "HTTP_TRANSFER_ENCODING")}
    body = {"wsgi.input": io.BytesIO(asked.body), "CONTENT_LENGTH": str(len(asked.body)), "CONTENT_TYPE": asked.content_type}
    made = WSGIRequest({**environ, **body})
    made._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]  # its forgery check was passed when it was recorded
    return made


def _rehearsed(context: str, request: WSGIRequest, asked: Asked, respond: GetResponse) -> HttpResponseBase:
    outcome = Outcome()
    held_back = dict(quiet.suppressed())
    with _undone() as nested, rehearsing.begin(context), caches.layered() as layers, egress.refused() as calls:
        mine = nested[alias()]
        try:
            with _begun(context, asked.before) as effects:
                with mine.undone():
                    _let_in(request, asked.user)
                    answer = _answered(respond(request))
                    rows = effects.now()
                outcome.effects = effects.compared(rows)
        except (StranglerError, ValueError, Error) as error:
            if not mine.busy:
                return problem(422, "It can't be rehearsed", ENDED if sqlstate(error) == NO_SAVEPOINT else message(error))
            answer = {"status": 0, "headers": {}, "body": ""}
        outcome.busy = any(one.busy for one in nested.values())
        outcome.calls = list(calls)
        outcome.held_back = {
            **{kind: number - held_back.get(kind, 0) for kind, number in quiet.suppressed().items()},
            "on_commit": sum(one.dropped for one in nested.values()),
            "cache": sum(layer.writes for layer in layers),
        }
    return HttpResponse(wire.dumps({**answer, **vars(outcome)}), content_type="application/json")


def _let_in(request: WSGIRequest, user: str) -> None:
    """Django REST framework authenticates by itself, by what was not recorded: it is told who it is, as its tests tell it."""
    from strangler.replica.identity import _by_word

    found = _by_word(user) if user else None
    if found is not None and found.is_authenticated:
        secret, context = conf.service_secret(), str(conf.setting("CONTEXT"))
        request.META[IDENTITY] = tokens.issue(secret, audience=context, now=time.time(), sub=user)
        request._force_auth_user = found  # type: ignore[attr-defined]


def _answered(response: HttpResponseBase) -> dict[str, Any]:
    content = b"".join(response) if response.streaming else response.content  # type: ignore[attr-defined, arg-type]
    headers = {name.lower(): value for name, value in response.items() if not name.lower().startswith("x-strangler-")}
    return {"status": response.status_code, "headers": headers, "body": base64.b64encode(content).decode("ascii")}


@contextlib.contextmanager
def _undone() -> Iterator[dict[str, Nested]]:
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(Nested(connections[name])) for name in connections}


class Effects:
    """The rows that this transaction touches after ``floor``."""

    def __init__(self, cursor: Any, origin: str, context: str) -> None:
        self.cursor, self.origin = cursor, origin
        self.collections = {collection.name: collection for collection in known.for_context(context)}
        cursor.execute(FLOOR, [origin])
        self.floor: int = cursor.fetchone()[0]
        self.touched: list[tuple[str, str]] = []

    def now(self) -> dict[tuple[str, str], str]:
        self.cursor.execute(TOUCHED, [self.origin, self.floor])
        self.touched = [(name, key) for name, key in self.cursor.fetchall() if name in self.collections]
        return self._rows()

    def compared(self, after: Mapping[tuple[str, str], str]) -> list[dict[str, Any]]:
        """With the work undone: what was, beside what became of it."""
        before, found = self._rows(), []
        for place in self.touched:
            was, is_now = (None if side.get(place) is None else wire.loads(side[place]) for side in (before, after))
            if was != is_now:
                kind = "insert" if was is None else "delete" if is_now is None else "update"
                found.append({"collection": place[0], "key": place[1], "kind": kind, "before": was, "after": is_now})
        return found

    def _rows(self) -> dict[tuple[str, str], str]:
        wanted: dict[str, tuple[Collection, list[str]]] = {}
        for name, key in self.touched:
            wanted.setdefault(name, (self.collections[name], []))[1].append(key)
        return {place: text for place, (text, _) in port().rows_of(self.cursor, wanted).items()} if wanted else {}


@contextlib.contextmanager
def _begun(context: str, before: tuple[Mapping[str, Any], ...]) -> Iterator[Effects]:
    """The origin, what keeps it from committing, and the rows as they were. Raises ``StranglerError``."""
    origin = f"{rehearsing.ORIGIN}{uuid.uuid4()}"
    collections = {one.name: one for one in (*known.for_context(context), *known.read_copies(context))}
    with connections[alias()].cursor() as cursor:
        cursor.execute(BEGIN, [origin])
        cursor.execute(NEVER_COMMIT, [origin])
        if before:
            cursor.execute(AS_APPLIED)  # no foreign key and no trigger of the project's looks, as when it is mirrored
            for name in dict.fromkeys(one["collection"] for one in before):
                if name not in collections:
                    raise StranglerError(f"{context} has no collection {name} here")
                plain(cursor, collections[name], [_event(one) for one in before if one["collection"] == name], None)
            cursor.execute(AS_WRITTEN)
        yield Effects(cursor, origin, context)


def _event(one: Mapping[str, Any]) -> Event:
    op = Op.DELETE if one["row"] is None else Op.UPSERT
    return Event("", op, one["collection"], one["key"], Version(0, 0, 0), one["row"])
