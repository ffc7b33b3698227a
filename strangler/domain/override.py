"""The signed override: a tester's reads of one context go to a named side, while it is in shadow or canary.

It travels in the header ``X-Strangler-Override`` or in the cookie ``strangler_override``: a JWT that the service token signs.
"""

from __future__ import annotations

from typing import NamedTuple

from strangler.domain import tokens
from strangler.domain.decision import Access, Met
from strangler.domain.stages import Side, Stage
from strangler.domain.tokens import BadToken

HEADER, COOKIE = "X-Strangler-Override", "strangler_override"
AUDIENCE = "strangler-override"
LONGEST_S = 7 * 86400.0
SIDES = (Side.SERVICE, Side.MONOLITH)
STAGES = (Stage.SHADOW, Stage.CANARY)
"""Where both sides have the data and the monolith still owns them, so that a reader has a choice."""


class Override(NamedTuple):
    """``until``: seconds since 1970."""

    context: str
    side: Side
    until: float

    def side_for(self, met: Met) -> Side | None:
        """The side that is asked for, if the request is one of those that it is about."""
        return self.side if met.context is not None and met.context.name == self.context else None


def issue(secret: str, context: str, side: Side, *, now: float, ttl: float) -> str:
    """A token for ``ttl`` seconds from ``now``. Raises ``ValueError`` for a side or a time that makes no sense."""
    if side not in SIDES:
        raise ValueError(f"{side.value!r} is not a side that reads can go to; it is one of {', '.join(SIDES)}")
    if not 1 <= ttl <= LONGEST_S:
        raise ValueError(f"{ttl:g} s is not a time from one second to {LONGEST_S / 86400:g} days")
    return tokens.issue(secret, audience=AUDIENCE, now=now, ttl=ttl, context=context, side=side.value)


def read(secret: str, token: str, *, now: float) -> Override:
    """What a token asks for. Raises ``BadToken``; without a secret every token is a bad one."""
    if not secret:
        raise BadToken("there is no secret to check it with")
    claims = tokens.verify(secret, token, audience=AUDIENCE, now=now, leeway=0.0)
    context, side = claims.get("context"), claims.get("side")
    if not isinstance(context, str) or side not in SIDES:
        raise BadToken("names no context, or no side that reads can go to")
    return Override(context, Side(side), float(claims["exp"]))


def heeded(met: Met) -> bool:
    """Whether an override is heeded for a request: only reads."""
    context = met.context
    return context is not None and met.access is Access.READ and context.stage in STAGES
