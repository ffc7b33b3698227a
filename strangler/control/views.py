"""The monolith's word on who owns a context, for proxies whose hold ended; and its health."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from django.db import DatabaseError, connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from strangler import conf
from strangler.control.parity import flight as parity_flight
from strangler.domain import tokens
from strangler.problems import problem
from strangler.sync import metrics as stream_metrics
from strangler.sync import ownership as owners

View = Callable[[HttpRequest], HttpResponse]
AUDIENCE = "monolith"


def bearer(view: View) -> View:
    """Only who holds the estate's secret: a short-lived token made for the monolith."""

    @functools.wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return _unauthorized("a bearer token is needed")
        try:
            tokens.verify(conf.service_secret(), token.strip(), audience=AUDIENCE, now=time.time())
        except tokens.BadToken as error:
            return _unauthorized(str(error))
        return view(request)

    return guarded


def _unauthorized(why: str) -> HttpResponse:
    response = problem(401, "Unauthorized", why)
    response["WWW-Authenticate"] = "Bearer"
    return response


@require_GET
@bearer
def ownership(request: HttpRequest) -> HttpResponse:
    """``?context=payments`` → ``{context, epoch, owner, operation}``."""
    name = request.GET.get("context", "")
    if name not in conf.estate().contexts:
        return problem(404, "No such context", f"{name!r} is not declared in strangler.toml")
    record = owners.get(name)
    return JsonResponse({"context": name, "epoch": record.epoch, "owner": record.owner, "operation": record.operation})


@require_GET
@bearer
def flight(request: HttpRequest) -> HttpResponse:
    """``?context=payments`` → ``{markers, waiting, position}``, see ``parity.flight``."""
    context = conf.estate().contexts.get(request.GET.get("context", ""))
    if context is None:
        return problem(404, "No such context", f"{request.GET.get('context', '')!r} is not declared in strangler.toml")
    return JsonResponse(parity_flight.look(context))


@require_GET
def metrics(_: HttpRequest) -> HttpResponse:
    """The streams, for Prometheus. Without a token, as health is: numbers only, and never reachable through the proxy."""
    return HttpResponse("\n".join(stream_metrics.lines()) + "\n", content_type=stream_metrics.CONTENT_TYPE)


@require_GET
def livez(_: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "alive"})


@require_GET
def readyz(_: HttpRequest) -> HttpResponse:
    try:
        with connections[conf.setting("DATABASE")].cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return problem(503, "Not ready", f"the database does not answer: {error}".strip())
    return JsonResponse({"status": "ready"})
