"""The worlds that are explored: small ones by `make test`, all by `make faults-handover-model`; for each rule one that bites."""

from __future__ import annotations

from dataclasses import replace

from tests.models.handover.state import World

ALONE, QUIET = {"engines": 1}, {"engines": 1, "fails": False}
REQUESTS = {"proxies": 1, "jobs": False}
DEAD = {"live": True, "dies": True}

SMALL = {
    "two engines, messages late and twice": World(tokens=2, late=True),
    "a proxy that is cut off": World(**QUIET, **REQUESTS, cuts=True),
    "holds that end by themselves": World(**ALONE, **REQUESTS, lapses=True),
    "there and back": World(**ALONE, operations=2, late=True),
    "a service that dies": World(**ALONE, **DEAD, operations=2, writes=0, late=True),
}
LARGE = {
    "an engine that dies twice, two writes, late rounds": World(tokens=3, late=True, flying=2, writes=2),
    "two proxies, one cut off, requests and jobs": World(**ALONE, proxies=2, cuts=True, lapses=True, writes=2),
    "two engines and a proxy, everything late": World(tokens=2, **REQUESTS, cuts=True, lapses=True, late=True, lost=True),
    "there and back by two engines": World(operations=2, tokens=2, late=True),
    "there, back, and there again": World(**ALONE, operations=3, late=True, writes=2),
    "there and back under requests": World(**ALONE, **REQUESTS, operations=2, cuts=True, late=True, writes=2),
    "a service that dies under requests": World(**ALONE, **DEAD, **REQUESTS, operations=2, cuts=True, late=True, writes=1),
    "a service that dies under two engines": World(**DEAD, operations=2, tokens=2, late=True, writes=0),
}

BITES = {
    "fence": World(**QUIET),
    "fence-lock": World(**QUIET),
    "none-between": World(**ALONE),
    "drain-marker": World(**ALONE),
    "epoch-check": World(tokens=2),
    "same-epoch": World(**ALONE, late=True, flying=2, writes=2),
    "token": World(tokens=2),
    "atomic-fence": World(**ALONE),
    "atomic-commit": World(**ALONE, operations=2, late=True),
    "point-of-no-return": World(**ALONE),
    "undo-epoch": World(**ALONE),
    "confirm-before-flip": World(**QUIET),
    "next-ids": World(**QUIET, **REQUESTS, writes=2),
    "version": World(**ALONE, late=True, flying=2, writes=2),
    "apply-owner": World(**QUIET, **REQUESTS),
    "apply-epoch": World(**QUIET, **REQUESTS, cuts=True, operations=2),
    "apply-lock": World(**QUIET, proxies=1, writes=2, late=True),
    "stamp": World(**QUIET, **REQUESTS, cuts=True),
    "only-421-again": World(**QUIET, **REQUESTS, lost=True),
    "drained-hold": World(**QUIET, **REQUESTS),
    "hold-passes": World(**ALONE),
    "tell-owed": World(**ALONE),
    "glass-epoch": World(**ALONE, **DEAD, operations=2, writes=0, late=True),
    "glass-undo": World(**ALONE, **DEAD, operations=2, writes=0, late=True),
    "room": World(**QUIET, **DEAD, **REQUESTS, writes=2),
}


def without(rule: str) -> World:
    return replace(BITES[rule], without=frozenset({rule}))
