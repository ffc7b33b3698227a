"""Signed overrides of testers: checked once for each token, remembered until it expires. A bad one is ignored, and counted."""

from __future__ import annotations

from collections.abc import Callable

from strangler.domain import override
from strangler.domain.override import Override
from strangler.domain.tokens import BadToken
from strangler_proxy.headers import OVERRIDE_COOKIE
from strangler_proxy.metrics import Metrics
from strangler_proxy.request import Fields
from strangler_proxy.visitor import cookie

_MOST, _LONGEST = 1024, 1024


class SignedOverrides:
    """``clock`` gives seconds since 1970."""

    def __init__(self, secret: str, clock: Callable[[], float], metrics: Metrics) -> None:
        self._secret, self._clock, self._metrics = secret, clock, metrics
        self._read: dict[bytes, Override | None] = {}

    def asked(self, fields: Fields) -> Override | None:
        """What the token in header or cookie asks for; None for none, or for one that is forged, malformed or over."""
        token = fields.override
        if not token and OVERRIDE_COOKIE in fields.cookie:
            token = cookie(fields.cookie, OVERRIDE_COOKIE).encode("latin-1")
        if not token:
            return None
        found = self._read[token] if token in self._read else self._check(token)
        if found is not None and found.until <= self._clock():
            found = self._read[token] = None
        self._metrics.overrides.add("good" if found is not None else "bad")
        return found

    def _check(self, token: bytes) -> Override | None:
        if len(token) > _LONGEST:
            return None
        try:
            found = override.read(self._secret, token.decode("latin-1"), now=self._clock())
        except BadToken:
            found = None
        if len(self._read) >= _MOST:
            self._read.clear()
        self._read[token] = found
        return found
