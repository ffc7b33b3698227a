"""The operators' own listener: /livez /readyz /metrics /table /explain. Never reachable through the users' one.

Workers share the listening socket, and each also listens on a socket file of its own, so that whoever is asked for metrics
can ask the others.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from strangler.domain import freshness
from strangler.domain.override import SIDES
from strangler.domain.stages import Side
from strangler_proxy import metrics
from strangler_proxy.plane import Plane

_WITHIN = 2.0
_HEAD = 16 * 1024
Reply = tuple[int, str, bytes]


def _json(status: int, body: Any) -> Reply:
    return status, "application/json", json.dumps(body, indent=2).encode() + b"\n"


class Operator:
    """``sockets`` is the directory with the workers' own sockets, if there are several."""

    def __init__(self, plane: Plane, report: Callable[[], dict[str, Any]], sockets: Path | None = None) -> None:
        self._plane, self._report, self._sockets = plane, report, sockets

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, then the end."""
        try:
            async with asyncio.timeout(_WITHIN):
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, *_ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
                status, kind, body = await self._reply(method, target)
                writer.write(
                    f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                    "Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode()
                    + (b"" if method == "HEAD" else body)
                )
                await writer.drain()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    async def _reply(self, method: str, target: str) -> Reply:
        if method not in ("GET", "HEAD"):
            return _json(405, {"error": "only GET and HEAD"})
        parts = urlsplit(target)
        asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        match parts.path:
            case "/livez":
                return _json(200, {"status": "alive", "worker": self._plane.number})
            case "/readyz":
                return self._ready()
            case "/metrics":
                return 200, "text/plain; version=0.0.4; charset=utf-8", (await self._metrics()).encode()
            case "/metrics/own":
                return _json(200, self._plane.metrics.samples(str(self._plane.number)))
            case "/table":
                table = self._plane.tables.current
                return _json(200 if table else 503, {"proxy": self._report(), "table": table.snapshot if table else None})
            case "/explain":
                return self._explain(asked)
        return _json(404, {"error": "there is /livez /readyz /metrics /table /explain?method=&path=&user="})

    def _ready(self) -> Reply:
        if self._plane.draining:
            return _json(503, {"status": "draining"})
        if self._plane.tables.current is None:
            return _json(503, {"status": "no route table yet", "error": self._plane.tables.error})
        return _json(200, {"status": "ready", "table": list(self._plane.tables.current.order)})

    def _explain(self, asked: dict[str, str]) -> Reply:
        table = self._plane.tables.current
        if table is None:
            return _json(503, {"error": "no route table yet"})
        path = asked.get("path", "")
        if not path.startswith("/"):
            return _json(400, {"error": "say which path: /explain?method=GET&path=/api/orders/7&user=42"})
        known = freshness.from_cookie(asked.get("position", ""))
        side = asked.get("override", "")
        if side not in ("", *SIDES):
            return _json(400, {"error": f"override={side}: it is one of {', '.join(SIDES)}"})
        decision = table.decide(
            asked.get("method", "GET").upper(),
            path,
            asked.get("user", ""),
            known,
            self._plane.markers.known,
            asked=Side(side) if side else None,
        )
        hold = table.held(decision.met)
        override = self._plane.router.overrides.get(decision.context.name) if decision.context else None
        return _json(
            200,
            {
                **decision.explain(),
                "held": hold.operation if hold else None,
                "override": {"epoch": override[0], "owner": override[1].value} if override else None,
            },
        )

    async def _metrics(self) -> str:
        own = self._plane.metrics.samples(str(self._plane.number))
        others = [Path(path) for path in sorted(self._sockets.glob("*.sock"))] if self._sockets else []
        mine = f"{self._plane.number}.sock"
        answers = await asyncio.gather(*(self._ask(path) for path in others if path.name != mine))
        return metrics.render(self._plane.metrics.families(), [own, *(answer for answer in answers if answer)])

    async def _ask(self, path: Path) -> dict[str, list[str]]:
        """Another worker's samples; nothing from one that is gone."""
        try:
            async with asyncio.timeout(_WITHIN / 2):
                reader, writer = await asyncio.open_unix_connection(str(path))
                writer.write(b"GET /metrics/own HTTP/1.1\r\n\r\n")
                body = (await reader.read()).partition(b"\r\n\r\n")[2]
                writer.close()
                samples: dict[str, list[str]] = json.loads(body)
                return samples
        except (OSError, TimeoutError, ValueError):
            return {}
