"""What the parallel run costs the path of the data: a request that is not sampled, beside one of a context without any.

The same part of an exchange in turns, in one process: with ``shadow.share`` 0, and with a share of which chance takes nothing.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from strangler.domain.freshness import NOWHERE
from strangler.domain.table import compile
from strangler_proxy.plane import Plane
from strangler_proxy.request import Fields, Line, Request
from strangler_proxy.routing import Way
from strangler_proxy.settings import Endpoint, Settings
from strangler_proxy.target import Target
from strangler_proxy.upstream import UpstreamConnection
from tests.benchmarks.figures import Figure, in_turns

REQUESTS, LIMIT_US = 100_000, 5.0
HEAD = b"\r\nHost: shop.example\r\nUser-Agent: x\r\nAccept: */*\r\nCookie: sessionid=abc\r\n"


def measure() -> list[Figure]:
    """Microseconds a request, above those of a loop that does nothing else."""
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    loop = asyncio.get_running_loop()
    plane = Plane(Settings(Endpoint("127.0.0.1", 0), None, None), loop)
    target = Target("http://127.0.0.1:9", plane.limits, loop, lambda: None, lambda *_: None)  # type: ignore[arg-type, return-value]
    connection = UpstreamConnection(target)
    request = Request(Line(b"GET /api/payments/7/ HTTP/1.1"), Fields(HEAD))
    random.seed(1)
    runs = {name: _run(plane, _way(plane, share), request, connection) for name, share in (("off", 0.0), ("on", 1e-12))}
    found = in_turns({"nothing": _nothing, **runs}, 7)
    return [
        Figure("not sampled, share 0", max(0.001, found["off"] - found["nothing"]), "limit", LIMIT_US, "µs", 1.0),
        Figure("not sampled by chance", max(0.001, found["on"] - found["nothing"]), "limit", LIMIT_US, "µs", 1.0),
    ]


def _way(plane: Plane, share: float) -> Way:
    targets = {"monolith": ["http://127.0.0.1:9"], "service": ["http://127.0.0.1:9"]}
    context = {"stage": "shadow", "targets": targets, "shadow": {"share": share, "noise": 0.1}}
    routes = [{"match": {"prefix": "/api/payments"}, "context": "payments"}]
    number = {"generation": 1, "version": 1}
    table = compile({**number, "default": {"targets": targets["monolith"]}, "contexts": {"payments": context}, "routes": routes})
    return plane.router.way(table.decide("GET", "/api/payments/7/"))


def _run(plane: Plane, way: Way, request: Request, connection: UpstreamConnection) -> Callable[[], float]:
    shadow = plane.shadow

    def run() -> float:
        """As ``Exchange.upstream_head`` and ``_finish`` do."""
        began = time.perf_counter()
        for _ in range(REQUESTS):
            copy = None
            if way.shadowed:
                copy = shadow.sample(request, way.decision, connection, NOWHERE, began)
            if copy is not None:
                shadow.submit(copy)
        return 1e6 * (time.perf_counter() - began) / REQUESTS

    return run


def _nothing() -> float:
    began = time.perf_counter()
    for _ in range(REQUESTS):
        pass
    return 1e6 * (time.perf_counter() - began) / REQUESTS
