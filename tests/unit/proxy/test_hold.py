"""The book of holds alone; with real requests in tests/integration/proxy/test_hold.py."""

from __future__ import annotations

import asyncio
from typing import Any

from strangler.domain.stages import Side
from strangler.domain.table import RouteTable, compile
from strangler_proxy.hold import Holds, Owner
from strangler_proxy.metrics import Metrics

URL = ["http://127.0.0.1:1"]


def table(version: int, **holds: str | None) -> RouteTable:
    contexts = {
        name: {
            "stage": "monolith",
            "targets": {"monolith": URL},
            "hold": {"operation": operation, "for_ms": 60_000} if operation else None,
        }
        for name, operation in ({"a": None, "b": None} | holds).items()
    }
    return compile({"generation": 1, "version": version, "default": {"targets": URL}, "contexts": contexts})


class Waiting:
    def __init__(self, name: str, log: list[str], *writes: str) -> None:
        self.name, self.log, self.writes = name, log, writes
        self.ended = asyncio.Event()

    def released(self) -> None:
        self.log.append(self.name)
        self.ended.set()

    def hold_failed(self) -> None:
        self.log.append(f"{self.name} failed")
        self.ended.set()


def book(owner: Owner | None = None, limit: int = 10) -> Holds:
    async def ask(context: str) -> Owner | None:
        return owner

    return Holds(limit=limit, changed=lambda: None, ask=ask, settle=lambda name, found: None, metrics=Metrics())


def inside(body: Any) -> None:
    async def run() -> None:
        await body()

    asyncio.run(run())


def test_step_2_parked_requests_are_released_in_order_and_only_when_nothing_holds_them() -> None:
    async def body() -> None:
        holds, log = book(), list[str]()
        holds.apply(table(1, a="op", b="op"))
        for name, writes in (("1", ("a",)), ("2", ("a", "b")), ("3", ("b",)), ("4", ("a",))):
            assert holds.park(Waiting(name, log, *writes))
        holds.apply(table(2, b="op"))
        assert log == ["1", "4"]
        holds.apply(table(3))
        assert log == ["1", "4", "2", "3"]

    inside(body)


def test_step_2_drained_is_exact() -> None:
    async def body() -> None:
        holds = book()
        holds.writes.begin(("a", "b"))
        holds.writes.begin(("a",))
        holds.apply(table(1, a="op"))
        assert holds.report() == {"a": {"operation": "op", "drained": False, "parked": 0}}
        holds.writes.end(("a", "b"))
        assert not holds.report()["a"]["drained"]
        holds.writes.end(("a",))
        assert holds.report()["a"]["drained"]

    inside(body)


def test_step_2_too_many_are_refused_and_a_place_becomes_free() -> None:
    async def body() -> None:
        holds = book(limit=1)
        holds.apply(table(1, a="op"))
        first = Waiting("1", [], "a")
        assert holds.park(first)
        assert not holds.park(Waiting("2", [], "a"))
        holds.drop(first)
        holds.drop(first)
        assert holds.park(Waiting("3", [], "a"))

    inside(body)


def test_step_2_a_pass_is_for_its_contexts_only() -> None:
    async def body() -> None:
        holds = book()
        holds.apply(table(1, a="op", b="op"))
        assert not holds.holds(("a",), frozenset({"a"}))
        assert holds.holds(("a", "b"), frozenset({"a"}))

    inside(body)


def test_step_2_a_lapsed_hold_is_not_acknowledged_and_does_not_come_back_with_the_same_operation() -> None:
    async def body() -> None:
        holds, log = book(owner=(7, Side.MONOLITH)), list[str]()
        snapshot = dict(table(1, a="op").snapshot)
        snapshot["contexts"]["a"]["hold"]["for_ms"] = 1
        holds.apply(compile(snapshot))
        waiting = Waiting("1", log, "a")
        assert holds.park(waiting)
        async with asyncio.timeout(5):
            await waiting.ended.wait()
        assert (log, holds.report()) == (["1"], {})
        holds.apply(table(2, a="op"))
        assert not holds.holds(("a",), frozenset())
        holds.apply(table(3, a="next"))
        assert holds.holds(("a",), frozenset())

    inside(body)


def test_step_2_without_an_owner_parked_requests_fail_and_new_ones_ask_again() -> None:
    async def body() -> None:
        holds, log = book(owner=None), list[str]()
        snapshot = dict(table(1, a="op").snapshot)
        snapshot["contexts"]["a"]["hold"]["for_ms"] = 1
        holds.apply(compile(snapshot))
        async with asyncio.timeout(5):
            for name in ("1", "2"):
                assert holds.holds(("a",), frozenset())
                waiting = Waiting(name, log, "a")
                assert holds.park(waiting)
                await waiting.ended.wait()
        assert log == ["1 failed", "2 failed"]
        holds.apply(table(2))
        assert not holds.holds(("a",), frozenset())

    inside(body)
