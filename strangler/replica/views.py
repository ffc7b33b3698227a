"""The service contract, version 1 (DESIGN section 6): changes in and out, digests, ownership, health."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.utils import Error
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from strangler import conf
from strangler.domain import wire
from strangler.domain.envelope import BadEvent
from strangler.domain.tokens import BadToken, verify
from strangler.errors import StranglerError
from strangler.problems import problem
from strangler.replica import quiet, readiness
from strangler.replica.changes import LARGEST, refusal, take
from strangler.sync import collections, feed, marker, outbox, sequences
from strangler.sync import digest as digests
from strangler.sync import metrics as stream_metrics
from strangler.sync import ownership as owners
from strangler.sync.database import rows, snapshot

View = Callable[[HttpRequest], HttpResponse]
CHANGED_SINCE = """
SELECT key FROM strangler_applied WHERE collection = %s AND round > %s ORDER BY key
"""


def _contract(*methods: str) -> Callable[[View], View]:
    """Bearer token for this context, methods, and problem documents for what goes wrong."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest) -> HttpResponse:
            if request.method not in methods:
                answer = problem(405, "Method not allowed", f"{request.method} is not one of {', '.join(methods)}")
                answer["Allow"] = ", ".join(methods)
                return answer
            try:
                scheme, _, token = request.headers.get("Authorization", "").partition(" ")
                if scheme.lower() != "bearer":
                    raise BadToken("no bearer token")
                claims = verify(conf.service_secret(), token.strip(), audience=_context(), now=time.time())
                if "sub" in claims:
                    raise BadToken("it says who a user is, and is no service's")
            except BadToken as error:
                answer = problem(401, "Unauthorized", f"a service token for {_context()} is needed: {error}")
                answer["WWW-Authenticate"] = "Bearer"
                return answer
            try:
                return view(request)
            except (BadEvent, StranglerError, Error) as error:
                refused = refusal(error)
                assert refused is not None
                return refused

        return csrf_exempt(transaction.non_atomic_requests(guarded))

    return decorate


def _context() -> str:
    return str(conf.setting("CONTEXT"))


def _json(body: Any) -> HttpResponse:
    return HttpResponse(wire.dumps(body), content_type="application/json")


def _body(request: HttpRequest) -> bytes:
    """The body whole; not by ``request.body``, whose limit is meant for forms."""
    body: bytes = request.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise BadEvent(f"the body is larger than {LARGEST} bytes")
    return body


def _object(request: HttpRequest) -> dict[str, Any]:
    try:
        body = json.loads(_body(request))
    except ValueError as error:
        raise BadEvent(f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadEvent("not an object")
    return body


def _number(request: HttpRequest, name: str, default: int) -> int:
    text = request.GET.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise BadEvent(f"{name} is {text!r}, not a number from 0")
    return int(text)


@_contract("GET", "POST")
def changes(request: HttpRequest) -> HttpResponse:
    """POST: a batch of events becomes rows, in one transaction. GET: this side's own changes after a position (P11)."""
    if request.method == "POST":
        return _json(take(_body(request)))
    text = feed.read(_context(), _number(request, "after", 0), _number(request, "limit", feed.LIMIT))
    return HttpResponse(text, content_type="application/json")


@_contract("GET")
def digest(request: HttpRequest) -> HttpResponse:
    """Digests of runs of consecutive keys; with ``since`` of each key applied after that marker; with ``keys`` of those."""
    name = request.GET.get("collection", "")
    collection = collections.find(_context(), name)
    if collection is None:
        return problem(404, "No such collection", f"{_context()} has no collection {name!r} here")
    if "keys" in request.GET or "since" in request.GET:
        wanted = _keys(request.GET["keys"]) if "keys" in request.GET else _changed(name, _number(request, "since", 0))
        with snapshot() as cursor:
            found = digests.of_keys(cursor, collection, wanted)
        return _json([{"from": key, "to": key, "count": int(key in found), "digest": str(found.get(key, 0))} for key in wanted])
    within = digests.Range(request.GET.get("from"), request.GET.get("to"))
    count = max(1, min(_number(request, "buckets", 32), 20_000))
    with snapshot() as cursor:
        listed = digests.buckets(cursor, collection, within, count)
    return _json([{"from": b.from_, "to": b.to, "count": b.count, "digest": str(b.digest)} for b in listed])


@_contract("GET")
def rows_by_key(request: HttpRequest) -> HttpResponse:
    """``[{key, data}]`` of those keys that exist, each value as its canonical text. Optional in the contract: for people."""
    name = request.GET.get("collection", "")
    collection = collections.find(_context(), name)
    if collection is None:
        return problem(404, "No such collection", f"{_context()} has no collection {name!r} here")
    with snapshot() as cursor:
        found = digests.texts_of(cursor, collection, _keys(request.GET.get("keys", "[]")))
    return _json([{"key": key, "data": row} for key, row in found.items()])


def _keys(text: str) -> list[str]:
    try:
        keys = json.loads(text)
    except ValueError as error:
        raise BadEvent("keys is not a JSON list") from error
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise BadEvent("keys is not a JSON list of strings")
    return keys


def _changed(collection: str, since: int) -> list[str]:
    return [key for (key,) in rows(CHANGED_SINCE, [collection, since])]


@_contract("POST")
def notes(request: HttpRequest) -> HttpResponse:
    """``{"collection", "keys"}``: this side's feed tells of these keys again (repair of a reverse stream)."""
    body = _object(request)
    name, keys = body.get("collection"), body.get("keys")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise BadEvent("keys is not a list of strings")
    if name not in {collection.name for collection in collections.for_context(_context())}:
        return problem(404, "No such collection", f"{name!r} is not one of {_context()}'s own")
    return _json({"noted": outbox.note(_context(), str(name), keys)})


@_contract("GET", "PUT")
def ownership(request: HttpRequest) -> HttpResponse:
    """``{context, epoch, owner, operation, next_ids, marker}``; PUT changes it under the rules of P16, else 409."""
    if request.method == "PUT":
        body = _object(request)
        if body.get("context", _context()) != _context():
            raise BadEvent(f"this is the service of {_context()}, not of {body['context']!r}")
        epoch, owner, operation, next_ids = (
            body.get("epoch"),
            body.get("owner"),
            body.get("operation", ""),
            body.get("next_ids") or {},
        )
        if not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 0:
            raise BadEvent(f"epoch is {epoch!r}, not a number from 0")
        if owner not in owners.OWNERS:
            raise BadEvent(f"owner is {owner!r}, not one of {', '.join(owners.OWNERS)}")
        if not isinstance(next_ids, dict) or not all(isinstance(value, int) for value in next_ids.values()):
            raise BadEvent("next_ids is not an object of numbers")
        owners.change(_context(), epoch=epoch, owner=str(owner), operation=str(operation), next_ids=next_ids)
    held = owners.get(_context())
    drawn = marker.draw()  # after the change: a feed read that is complete for a greater marker has seen all before it
    return _json(
        {
            "context": held.context,
            "epoch": held.epoch,
            "owner": held.owner,
            "operation": held.operation,
            "next_ids": sequences.next_ids(_context()),
            "marker": drawn,
            "schemas": {collection.name: collection.schema for collection in collections.of(_context())},
        }
    )


def livez(_: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


@transaction.non_atomic_requests
def readyz(_: HttpRequest) -> HttpResponse:
    """Ready when the database answers, its migrations are applied and the context is installed in it."""
    reason = readiness.missing()
    if reason:
        return problem(503, "Not ready", reason)
    return HttpResponse("ok\n", content_type="text/plain")


@transaction.non_atomic_requests
def metrics(_: HttpRequest) -> HttpResponse:
    """Prometheus text: who owns, at which epoch, how much waits in the feed, what was held back (P26)."""
    held = owners.get(_context())
    lines = [
        "# HELP strangler_ownership_epoch Epoch of the context as this side knows it.",
        "# TYPE strangler_ownership_epoch gauge",
        f'strangler_ownership_epoch{{context="{held.context}",owner="{held.owner}"}} {held.epoch}',
        *stream_metrics.lines(),
    ]
    lines += quiet.metrics()
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4")
