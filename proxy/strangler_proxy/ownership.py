"""Asking the monolith who owns a context, at the end of a hold that nobody ended."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import quote

from strangler.domain import tokens
from strangler.domain.stages import Side
from strangler.domain.table import RouteTable
from strangler_proxy.fetch import fetch
from strangler_proxy.pool import Pool

_WITHIN = 1.0


async def ask(pool: Pool, table: RouteTable, context: str, token: str) -> tuple[int, Side] | None:
    """Epoch and owner by ``GET /_strangler/ownership``; None if no instance of the monolith gives a clear answer."""
    state = table.contexts.get(context)
    for url in state.monolith if state else ():
        bearer = tokens.issue(token, audience="monolith", now=time.time()) if token else ""
        head = (
            f"GET /_strangler/ownership?context={quote(context)} HTTP/1.1\r\nHost: {url.partition('://')[2]}\r\n"
            f"Authorization: Bearer {bearer}\r\nAccept: application/json\r\n\r\n"
        )
        try:
            async with asyncio.timeout(_WITHIN):
                status, body = await fetch(pool.target(url), head.encode())
            said = json.loads(body) if status == 200 else None
            if isinstance(said, dict):
                return int(said["epoch"]), Side(said["owner"])
        except (OSError, TimeoutError, ValueError, KeyError, TypeError):
            continue
    return None
