"""The monolith's answer where a context has retired: its views are there until they are deleted, and answer no more."""

from __future__ import annotations

import time

from django.db import DatabaseError, connections
from django.http import HttpRequest, HttpResponseBase

from strangler import conf
from strangler.analysis.usage import homes
from strangler.problems import problem

BELIEVED_S = 2.0
RETIRED = "SELECT context FROM strangler_migration WHERE stage = 'retired'"
_known: tuple[float, frozenset[str]] = (-BELIEVED_S, frozenset())


def refusal(request: HttpRequest) -> HttpResponseBase | None:
    """410 for a view of a context that has retired. A proxy is told 421 by its stamp before (P20) and asks the service."""
    match = request.resolver_match
    context = homes.of_view(match) if match and conf.side() == "monolith" else ""
    declared = conf.load()[0].contexts.get(context)
    if declared is None or not declared.service_urls or context not in retired():
        return None
    where = f"{context} has moved to its service and is retired here; ask through the proxy"
    return problem(410, "Retired", where, context=context, executed=False)


def retired() -> frozenset[str]:
    """Asked of the database every two seconds at most, and then only for a view of a context that can move."""
    global _known
    if time.monotonic() - _known[0] >= BELIEVED_S:
        try:
            with connections[conf.setting("DATABASE")].cursor() as cursor:
                cursor.execute(RETIRED)
                _known = (time.monotonic(), frozenset(context for (context,) in cursor.fetchall()))
        except DatabaseError:  # the view will say so, if it needs the database
            return _known[1]
    return _known[1]


def forget() -> None:
    """Ask anew."""
    global _known
    _known = (-BELIEVED_S, frozenset())
