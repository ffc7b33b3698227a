"""What is decided about a request, as data: the context it belongs to, its access, the side, and the reason in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from strangler.domain.buckets import BUCKETS
from strangler.domain.freshness import Awaited
from strangler.domain.ratelimit import Limit
from strangler.domain.routes import Rule
from strangler.domain.stages import Side, Stage


class Access(StrEnum):
    """What a rule says of its requests. A decision is never ``auto``."""

    AUTO = "auto"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Hold:
    """Writes of the context are parked: for which operation, and for how long on the proxy's own clock."""

    operation: str
    for_ms: int


@dataclass(frozen=True)
class Streams:
    """The names of a context's streams. None where there is none."""

    mirror: str | None = None
    copies: str | None = None
    reverse: str | None = None


@dataclass(frozen=True)
class ContextState:
    """A context as the table knows it. ``owner`` is for people; reads and writes go by the stage."""

    name: str
    stage: Stage = Stage.MONOLITH
    percent: int = 0
    salt: str = ""
    sticky: str = "user"
    epoch: int = 0
    owner: Side = Side.MONOLITH
    monolith: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    identity: bool = False
    """Whether the service is told who asks, by a signed header."""
    streams: Streams = Streams()
    shadow_share: float = 0.0
    shadow_noise: float = 0.0
    """Of the copies, the share that asks the owner twice."""
    hold: Hold | None = None
    health: str = ""
    """The service's health page, for active checks. None: a connection is all that is tried."""

    def urls(self, side: Side) -> tuple[str, ...]:
        return self.service if side is Side.SERVICE else self.monolith


class Met(NamedTuple):
    """What the rules say of a request before anything is known of its user."""

    rule: Rule | None
    context: ContextState | None
    access: Access
    writes: tuple[str, ...]
    """Contexts that the request may write: its own, and those that declare its path in ``also``."""
    limit: Limit | None = None
    csrf: bool = False
    """Whether a service must not get it before the edge has seen that it is no forgery of another site."""

    @property
    def asks_who(self) -> bool:
        """Whether the answer depends on the user's bucket."""
        return self.context is not None and self.context.stage is Stage.CANARY and self.access is Access.READ


class Why(StrEnum):
    """The reasons for a side. The value is the sentence, filled in by ``Decision.reason``."""

    NO_ROUTE = "no route matches, so it goes to the default target"
    STAGE_READ = "in stage {stage} reads go to the {side}"
    STAGE_WRITE = "in stage {stage} writes go to the {side}"
    IN_SHARE = "canary {percent} %: the user's bucket {bucket} is below {limit} of {buckets}"
    OUT_OF_SHARE = "canary {percent} %: the user's bucket {bucket} is not below {limit} of {buckets}"
    NOT_FRESH = "canary {percent} %: bucket {bucket} belongs to the service, but the user's last write has not arrived there yet"
    OVERRIDE = "the owner's own word (epoch {epoch}) is newer than the table"
    TESTER = "a signed override of a tester asked for the {side}"
    TESTER_NOT_FRESH = "a signed override of a tester asked for the service, but the user's last write has not arrived there yet"
    FALLBACK = "the service could not be reached, and the monolith answers reads as well"


class Decision(NamedTuple):
    side: Side
    urls: tuple[str, ...]
    met: Met
    why: Why
    bucket: int = -1
    awaited: Awaited = ()
    """Markers worth waiting for, a little, before the request is sent (P24)."""
    epoch: int = 0

    @property
    def context(self) -> ContextState | None:
        return self.met.context

    @property
    def access(self) -> Access:
        return self.met.access

    @property
    def stamp(self) -> tuple[str, int, str] | None:
        """Context, epoch and access for the application's check (P20). None where no route matched."""
        context = self.met.context
        return (context.name, self.epoch, self.met.access.value) if context else None

    @property
    def identified(self) -> bool:
        """Whether it is told who asks: only a service is, and only one that wants to be."""
        context = self.met.context
        return self.side is Side.SERVICE and context is not None and context.identity

    @property
    def checked(self) -> bool:
        """Whether the edge looks for a forgery (CSRF) before it is sent: the monolith does so itself."""
        return self.side is Side.SERVICE and self.met.csrf

    @property
    def rule(self) -> str:
        return str(self.met.rule) if self.met.rule else "default"

    @property
    def reason(self) -> str:
        context = self.met.context
        if context is None:
            return self.why.value
        sentence = self.why.value.format(
            stage=context.stage.value,
            side=self.side.value,
            percent=context.percent,
            bucket=self.bucket,
            limit=context.percent * (BUCKETS // 100),
            buckets=BUCKETS,
            epoch=self.epoch,
        )
        waits = "".join(f"; it waits shortly for {stream} to pass {place}" for stream, place in self.awaited)
        return sentence + waits

    def explain(self) -> dict[str, Any]:
        """For people and ``--json``: target, rule, reason."""
        context = self.met.context
        return {
            "target": self.side.value if context else "default",
            "urls": list(self.urls),
            "context": context.name if context else None,
            "stage": context.stage.value if context else None,
            "epoch": self.epoch if context else None,
            "access": self.met.access.value,
            "rule": self.rule,
            "limit": str(self.met.limit) if self.met.limit else None,
            "reason": self.reason,
            "bucket": self.bucket if self.bucket >= 0 else None,
            "writes": list(self.met.writes),
            "identity": self.identified,
            "csrf": self.checked,
        }
