"""Tokens of testers as they come: in a header or a cookie, remembered, over at their time."""

from __future__ import annotations

from strangler.domain import override
from strangler.domain.override import Override
from strangler.domain.stages import Side
from strangler_proxy.metrics import Metrics
from strangler_proxy.request import Fields
from strangler_proxy.signed_overrides import SignedOverrides

SECRET = "a secret of at least thirty-two characters"
NOW = 1_750_000_000.0


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def fields(line: str = "") -> Fields:
    return Fields(f"\r\nHost: a\r\n{line}".encode())


def token(ttl: float = 60, secret: str = SECRET) -> str:
    return override.issue(secret, "payments", Side.SERVICE, now=NOW, ttl=ttl)


def test_header_and_cookie_say_the_same_and_the_header_wins() -> None:
    overrides = SignedOverrides(SECRET, Clock(), Metrics())
    wanted = Override("payments", Side.SERVICE, NOW + 60)
    assert overrides.asked(fields(f"X-Strangler-Override: {token()}\r\n")) == wanted
    assert overrides.asked(fields(f"Cookie: a=b; strangler_override={token()}; c=d\r\n")) == wanted
    assert overrides.asked(fields(f"X-Strangler-Override: x\r\nCookie: strangler_override={token()}\r\n")) is None
    assert overrides.asked(fields()) is None
    assert overrides.asked(fields(f"Cookie: not_strangler_override={token()}\r\n")) is None


def test_good_and_bad_ones_are_counted() -> None:
    metrics = Metrics()
    overrides = SignedOverrides(SECRET, Clock(), metrics)
    for value in (token(), token(), token(secret="x" * 32), "rubbish", "x" * 5000):
        overrides.asked(fields(f"X-Strangler-Override: {value}\r\n"))
    assert metrics.overrides.values == {("good",): 2, ("bad",): 3}


def test_one_that_is_remembered_ends_in_time_all_the_same() -> None:
    clock = Clock()
    overrides = SignedOverrides(SECRET, clock, Metrics())
    asked = fields(f"X-Strangler-Override: {token(ttl=60)}\r\n")
    clock.now = NOW + 59.5
    assert overrides.asked(asked) is not None
    clock.now = NOW + 60
    assert overrides.asked(asked) is None
    assert overrides.asked(asked) is None


def test_what_is_remembered_is_bounded() -> None:
    overrides = SignedOverrides(SECRET, Clock(), Metrics())
    for number in range(3000):
        overrides.asked(fields(f"X-Strangler-Override: {number}\r\n"))
    assert len(overrides._read) <= 1024


def test_without_a_secret_nobody_is_believed() -> None:
    assert SignedOverrides("", Clock(), Metrics()).asked(fields(f"X-Strangler-Override: {token(secret='x')}\r\n")) is None
