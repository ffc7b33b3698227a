from __future__ import annotations

import json
from typing import Any

import pytest

from strangler.domain.stages import Side
from strangler_proxy.misdirected import Misdirected
from strangler_proxy.settings import Limits


def said(**body: Any) -> Misdirected:
    misdirected = Misdirected(0.0)
    misdirected.take(json.dumps(body).encode())
    return misdirected


def test_p20_a_newer_owner_is_taken_and_an_older_or_no_owner_is_not() -> None:
    assert said(epoch=7, owner="service").newer_owner(6)
    assert said(epoch=7, owner="service").owner() == (7, Side.SERVICE)
    assert not said(epoch=6, owner="service").newer_owner(6)
    assert not said(epoch=7, owner="none").newer_owner(6)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"epoch": "7", "owner": "service"}', b"x" * 100_000])
def test_p20_rubbish_names_nobody(body: bytes) -> None:
    misdirected = Misdirected(0.0)
    misdirected.take(body)
    assert not misdirected.newer_owner(0)


def test_p20_tries_and_time_are_bounded() -> None:
    limits = Limits()
    misdirected = said(epoch=7, owner="service")
    assert [misdirected.again(limits) for _ in range(limits.reroute_tries + 1)] == [True] * limits.reroute_tries + [False]
    assert misdirected.left(limits.reroute_time, limits) == 0
    pauses = [misdirected.pause() for _ in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.5
