"""Whether what a service was asked may have been on its way to it: the difference of a row in flight is none (P29).

The monolith is asked after the owner's second answer. Where none of its pointers waits for the context's streams, and their
markers (of the same snapshot) are those that were published before the owner's first answer came, nothing has arrived at the
service since (``strangler.control.parity.flight``): all that the owner's answers show had been applied before the service was
asked, and a difference is one. In any other case the service is asked again after its watermark has passed the position.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from strangler.domain import tokens
from strangler.domain.decision import ContextState
from strangler.domain.freshness import Awaited
from strangler_proxy.fetch import fetch
from strangler_proxy.pool import Pool

_WITHIN = 1.0


class Flight(NamedTuple):
    """What the monolith says: its position, whether anything waits for the context's streams, the markers of those."""

    position: int
    waiting: bool
    markers: Mapping[str, int]


def streams(context: ContextState) -> tuple[str, ...]:
    """Those that carry the monolith's rows to the context's service."""
    return tuple(stream for stream in (context.streams.mirror, context.streams.copies) if stream is not None)


def awaited(context: ContextState, flight: Flight) -> Awaited:
    return tuple((stream, flight.position) for stream in streams(context))


def settled(context: ContextState, flight: Flight, before: Mapping[str, int]) -> bool:
    """Whether nothing was in flight. ``before``: the published markers when the owner's first answer came."""
    named = streams(context)
    return bool(named) and not flight.waiting and all(flight.markers.get(name, -1) == before.get(name) for name in named)


async def ask(pool: Pool, context: ContextState, token: str) -> Flight | None:
    """``GET /_strangler/flight`` of the monolith; None if it gives no clear answer."""
    bearer = tokens.issue(token, audience="monolith", now=time.time()) if token else ""
    target = pool.order(context.monolith)[0]
    head = (
        f"GET /_strangler/flight?context={quote(context.name)} HTTP/1.1\r\nHost: {target.url.partition('://')[2]}\r\n"
        f"Authorization: Bearer {bearer}\r\nAccept: application/json\r\n\r\n"
    )
    try:
        async with asyncio.timeout(_WITHIN):
            status, body = await fetch(target, head.encode(), fresh=False)
        said = json.loads(body) if status == 200 else None
        if not isinstance(said, dict):
            return None
        markers = {str(name): int(at) for name, at in said["markers"].items()}
        return Flight(int(said["position"]), said["waiting"] is not False, markers)
    except (OSError, TimeoutError, ValueError, KeyError, TypeError, AttributeError):
        return None
