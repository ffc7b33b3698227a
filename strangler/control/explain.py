"""How would this request be routed? Answered by the same code as in the proxy, over the newest published table."""

from __future__ import annotations

from typing import Any

import redis

from strangler.control import publish
from strangler.domain import override, table
from strangler.domain.stages import Side
from strangler.errors import Misuse, StranglerError
from strangler.sync import marker


def explain(method: str, path: str, *, user: str = "", asked: str = "") -> dict[str, Any]:
    """Target, rule and reason for a request of ``user`` (as the proxy knows one), who may show a signed override.

    ``asked``: the side that it names. Raises ``StranglerError``.
    """
    method = method.upper()
    if not method.isalpha():
        raise Misuse(f"{method!r} is not an HTTP method; for example: strangler explain GET /api/payments/7 --user 42")
    if not path.startswith("/"):
        raise Misuse(f"{path!r} is not a path; it starts with a slash: strangler explain GET /api/payments/7")
    if asked not in ("", *override.SIDES):
        raise Misuse(f"--override {asked}: it is one of {', '.join(override.SIDES)}")
    newest = publish.newest()
    if newest is None:
        raise StranglerError("no route table was published yet; publish the first one: strangler publish")
    try:
        compiled = table.compile(newest.snapshot)
    except table.TableError as error:
        raise StranglerError(f"route table {newest.generation}.{newest.version} is not valid: {error}") from error
    try:
        markers = marker.published()
    except redis.RedisError:
        markers = {}
    decision = compiled.decide(method, path, user, {}, markers, asked=Side(asked) if asked else None)
    hold = compiled.held(decision.met)
    return {
        "method": method,
        "path": path,
        "user": user or None,
        "table": f"{newest.generation}.{newest.version}",
        **decision.explain(),
        "held": hold.operation if hold else None,
    }
