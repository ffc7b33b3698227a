"""What belongs to the request that is being answered: headers to pass on, positions that nested calls bring back (P23)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

PASSED_ON = ("traceparent", "tracestate", "X-Request-ID", "X-Strangler-Request")
POSITION = "X-Strangler-Position"


@dataclass
class Exchange:
    """``positions``: database → (epoch, marker), the highest seen."""

    passed_on: dict[str, str] = field(default_factory=dict)
    positions: dict[str, tuple[int, int]] = field(default_factory=dict)

    def note(self, database: str, epoch: int, marker: int) -> None:
        self.positions[database] = max((epoch, marker), self.positions.get(database, (0, 0)))

    def header(self) -> str:
        """``monolith:0:123,payments:7:88``"""
        return ",".join(f"{database}:{epoch}:{marker}" for database, (epoch, marker) in self.positions.items())


_current: ContextVar[Exchange | None] = ContextVar("strangler_exchange", default=None)


@contextlib.contextmanager
def begin(headers: Mapping[str, str]) -> Iterator[Exchange]:
    """The exchange of one inbound request, for the length of its answer."""
    exchange = Exchange({name: headers[name] for name in PASSED_ON if name in headers})
    token = _current.set(exchange)
    try:
        yield exchange
    finally:
        _current.reset(token)


def outbound_headers() -> dict[str, str]:
    """What a nested call takes along; empty outside a request."""
    exchange = _current.get()
    return dict(exchange.passed_on) if exchange else {}


def note_positions(header: str) -> None:
    """Take over the positions of a nested answer. What is not a position is left out: the user then reads from the owner."""
    exchange = _current.get()
    for item in header.split(",") if exchange and header else ():
        database, _, rest = item.strip().partition(":")
        epoch, _, marker = rest.partition(":")
        if exchange and epoch.isdecimal() and marker.isdecimal():
            exchange.note(database, int(epoch), int(marker))
