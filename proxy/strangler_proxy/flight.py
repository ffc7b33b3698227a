"""Whether what a service was asked may have been on its way to it: the difference of a row in flight is none (P29).

``before`` and ``now`` are the published markers when the owner's first answer came and after its second one. Between the two no
round of the context's streams ended, no pointer waits on the monolith, and the monolith's sequence (``position``, read after
looking for pointers) has not gone beyond the greatest published marker, so no round is under way that nobody heard of: then all
that the owner's answers show had been applied by the service before it was asked, and a difference is one. In any other case the
service is asked again after its watermark has passed the position.
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
from strangler.domain.table import RouteTable
from strangler_proxy.fetch import fetch
from strangler_proxy.pool import Pool

_WITHIN = 1.0


class Flight(NamedTuple):
    """What the monolith says: its position, and whether a pointer waits for one of the context's streams."""

    position: int
    waiting: bool


def streams(context: ContextState) -> tuple[str, ...]:
    """Those that carry the monolith's rows to the context's service."""
    return tuple(stream for stream in (context.streams.mirror, context.streams.copies) if stream is not None)


def awaited(context: ContextState, flight: Flight) -> Awaited:
    return tuple((stream, flight.position) for stream in streams(context))


def settled(table: RouteTable, context: ContextState, flight: Flight, before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """Whether nothing was in flight."""
    if flight.waiting or any(before.get(stream) != now.get(stream) for stream in streams(context)):
        return False
    drawn = [now.get(stream, 0) for other in table.contexts.values() for stream in streams(other)]
    return flight.position <= max(drawn, default=0)


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
        return Flight(int(said["position"]), bool(said["waiting"])) if isinstance(said, dict) else None
    except (OSError, TimeoutError, ValueError, KeyError, TypeError):
        return None
