"""Seals: a short-lived signed token that is bound to one text, for what travels through a broker.

Whoever reads or writes the broker's queues must not gain more than one who listens at the door: a seal is good for its own text
and for one purpose, so it is no bearer token for the service's calls, and no row or answer can be put in another one's place.
"""

from __future__ import annotations

import hashlib
from typing import Any

from strangler.domain.tokens import BadToken, issue, verify


def seal(secret: str, text: str, *, purpose: str, now: float, **claims: Any) -> str:
    """A token for ``purpose`` with ``claims``, good for ``text`` alone and for a minute from ``now``."""
    return issue(secret, audience=purpose, now=now, sha256=_digest(text), **claims)


def unseal(secret: str, token: str, text: str, *, purpose: str, now: float) -> dict[str, Any]:
    """The claims. Raises ``BadToken`` if it is forged, expired, or made for another purpose or text."""
    claims = verify(secret, token, audience=purpose, now=now)
    if claims.get("sha256") != _digest(text):
        raise BadToken("made for another text")
    return claims


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
