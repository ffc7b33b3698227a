"""Letting a tester see the other side first: a signed override, and what to do with it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from strangler import conf
from strangler.control.models import Migration
from strangler.control.positions import context_named
from strangler.domain import override
from strangler.domain.durations import seconds
from strangler.domain.estate import Route
from strangler.domain.stages import Side, Stage
from strangler.errors import Misuse


@dataclass(frozen=True)
class Grant:
    """``until`` in ISO 8601. ``heeded``: whether proxies heed it in the stage that the context is in now."""

    context: str
    side: str
    until: str
    stage: str
    heeded: bool
    header: str
    cookie: str
    curl: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def grant(context: str, *, to: str, lasting: str, url: str) -> Grant:
    """An override for reads of a context. ``lasting`` is a duration such as ``1h``; ``url`` is where users come.

    Raises ``Misuse``, and ``Misconfigured`` without a service token.
    """
    declared = context_named(context)
    if to not in override.SIDES:
        raise Misuse(f"--to {to}: it is one of {', '.join(override.SIDES)}")
    now = time.time()
    try:
        ttl = seconds(lasting)
        token = override.issue(conf.service_secret(), context, Side(to), now=now, ttl=ttl)
    except ValueError as error:
        raise Misuse(f"--for {lasting}: {error}") from error
    row = Migration.objects.using(conf.setting("DATABASE")).filter(context=context).first()
    stage = Stage(row.stage) if row else Stage.MONOLITH
    secure = "; Secure" if url.startswith("https:") else ""
    header = f"{override.HEADER}: {token}"
    return Grant(
        context=context,
        side=to,
        until=datetime.fromtimestamp(int(now + ttl), UTC).isoformat(),
        stage=stage.value,
        heeded=stage in override.STAGES,
        header=header,
        cookie=f"{override.COOKIE}={token}; Path=/; Max-Age={int(ttl)}; SameSite=Lax{secure}",
        curl=f"curl -s -H '{header}' {url.rstrip('/')}{_example(declared.routes)}",
    )


def _example(routes: tuple[Route, ...]) -> str:
    """A path of the context to try it on."""
    return next((route.prefix or route.path for route in routes if route.prefix or route.path), "/")
