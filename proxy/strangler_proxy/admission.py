"""How many clients a worker takes: as many as it was told, and has file descriptors for.

When it is full, connections that have been idle for longest make room; who still comes when there are none is answered 503.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane

_OWN = 64  # descriptors for the loop, listeners, Redis, logs
_SHARE = 10


def raise_limit() -> None:
    """As many file descriptors as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # macOS: "unlimited" is more than it allows
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(10_240, hard) if hard > 0 else 10_240), hard))


class Admission:
    """A client needs one descriptor, its request another."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = (soft - _OWN) // 2 if soft > 0 else plane.limits.connections
        self.most = max(1, min(plane.limits.connections, room))
        self._hopeless_until = 0.0

    def admits(self) -> bool:
        """Whether one more client may stay. At the limit the connections that have been idle for longest are closed."""
        plane = self._plane
        if len(plane.clients) + len(plane.tunnels) <= self.most:
            return True
        return self._make_room()

    def _make_room(self) -> bool:
        """A tenth of the idle ones at once, and not tried again for a moment if there are none: looking costs time."""
        plane, now = self._plane, self._plane.loop.time()
        if now < self._hopeless_until:
            return False
        idle = sorted((since, id(client), client) for client in plane.clients if 0 < (since := client.idle_since) < now)
        for _, _, client in idle[: 1 + len(idle) // _SHARE]:
            client.close()
        if not idle:
            self._hopeless_until = now + 0.25
        return bool(idle)
