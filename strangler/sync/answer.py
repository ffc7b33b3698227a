"""What a service's answer means, whichever way it came: a status as HTTP has them, and a JSON body or problem document."""

from __future__ import annotations

from typing import Any

from strangler.domain import wire
from strangler.errors import Gone, NotServed, ServiceUnavailable, StaleEpoch, StranglerError


def judge(status: int, said: str | bytes, *, who: str, call: str) -> None:
    """Returns for 200. Raises ``StaleEpoch`` for 409, ``Gone`` for 410, ``NotServed`` for 404, ``ServiceUnavailable`` for 5xx,
    ``StranglerError`` else."""
    if status == 200:
        return
    if status == 409:
        raise StaleEpoch(_detail(said))
    if status == 410:
        raise Gone(_detail(said), _floor(said))
    if status == 404:
        raise NotServed(f"{call} was answered 404: {_detail(said)}")
    if status >= 500:
        raise ServiceUnavailable(f"{who} answered {status}: {_detail(said)}")
    raise StranglerError(f"{call} was answered {status}: {_detail(said)}")


def _detail(said: str | bytes) -> str:
    try:
        problem: Any = wire.loads(said)
        return str(problem.get("detail") or problem.get("title") or problem)
    except (ValueError, AttributeError):
        return said[:200] if isinstance(said, str) else said[:200].decode(errors="replace")


def _floor(said: str | bytes) -> int:
    try:
        return int(wire.loads(said)["floor"])
    except (ValueError, KeyError, TypeError):
        return 0
