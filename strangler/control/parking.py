"""Writes that an operation has parked: how long they are, and the table with which they go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from strangler.control.saga import Running
from strangler.errors import LostLease, StranglerError

if TYPE_CHECKING:
    from strangler.control.handover import Plane


def parked_ms(running: Running, now: float) -> float | None:
    """None where it ended before it parked anything. ``now``: seconds, by the clock that ``held_at`` was noted with."""
    held_at = running.data.get("held_at")
    return None if held_at is None else round((now - float(held_at)) * 1000, 1)


def release(plane: Plane, running: Running, *, timeout_s: float) -> Mapping[str, Any]:
    """The table without the hold. It need not arrive: a hold ends by itself, and the proxies then ask for the owner."""
    result: dict[str, Any] = {}
    try:
        result.update(plane.publish(running, running.at))
        result["proxies"] = dict(plane.converged(timeout_s=timeout_s))
    except LostLease:
        raise
    except StranglerError as error:
        result["release_error"] = str(error)
    return result
