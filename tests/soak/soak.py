"""One soak: the estate up, traffic and disturbances for a while, everything still, then the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.soak import bodies, gigabyte, report, talks, trouble, users, verdict
from tests.soak.estate import Estate, until
from tests.soak.faults import Faults
from tests.soak.flips import Flips
from tests.soak.journal import Journal
from tests.soak.traffic import WITHIN, Users, run
from tests.soak.verdict import Check
from tests.soak.watch import Watch

WORKERS = 2
KINDS = (*users.KINDS, *bodies.KINDS, *talks.KINDS, *trouble.KINDS)
SETTLE = 45.0
REDIS = 16
"""Connections to Redis that a worker may have made meanwhile."""
GAUGES = ("requests_in_flight", "writes_in_flight", "held", "tunnels", "clients")
COUNTERS = (
    "requests_total",
    "misdirected_total",
    "retries_total",
    "fallbacks_total",
    "shadow_total",
    "parked_total",
    "abandoned_total",
    "tables_total",
)


@dataclass(frozen=True)
class Plan:
    """Times in seconds. ``memory``: allowed growth in MB a minute, after ``warm_up``."""

    seconds: float
    warm_up: float
    flip: float
    restart: float
    kill: float
    memory: float
    gigabyte: bool


def plan(seconds: float) -> Plan:
    """A short soak has all kinds of disturbances too, but its memory has not settled: only a large leak shows in it."""
    if seconds < 120:
        return Plan(seconds, seconds / 2, flip=0.3, restart=seconds / 3, kill=seconds / 3, memory=30.0, gigabyte=False)
    return Plan(seconds, min(180.0, seconds / 4), flip=1.0, restart=45.0, kill=60.0, memory=0.3, gigabyte=True)


def soak(wanted: Plan, into: Path, tell: Callable[[str], None]) -> bool:
    """Whether all checks hold. ``tell`` gets a line of progress now and then."""
    journal = Journal()
    with Estate(WORKERS) as estate:
        began = time.monotonic()
        checks, watch, more = asyncio.run(_run(wanted, estate, journal, tell))
        seconds = time.monotonic() - began
        report.show(checks, journal, seconds)
        report.store(into, checks, journal, watch, seconds, more)
    return all(check.holds for check in checks)


async def _run(
    wanted: Plan, estate: Estate, journal: Journal, tell: Callable[[str], None]
) -> tuple[list[Check], Watch, dict[str, Any]]:
    asyncio.get_running_loop().set_exception_handler(_without_aiohttp)
    flips = Flips(estate, journal)
    faults = Faults(estate, journal, flips)
    await flips.publish()
    large: list[Check] = []
    if wanted.gigabyte:
        tell("a gigabyte up and down, counted and in chunks …")
        large = await asyncio.to_thread(gigabyte.measure, estate)
    watch = Watch(estate.pids()[0])
    before = await asyncio.to_thread(_own_descriptors, estate, watch)
    stop = asyncio.Event()
    disturbing: list[Coroutine[Any, Any, None]] = [
        flips.run(wanted.flip),
        flips.mark(),
        faults.restart_applications(wanted.restart),
        faults.kill_workers(wanted.kill),
        watch.run(min(5.0, wanted.seconds / 30)),
        _tell(wanted, journal, watch, tell),
    ]
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=WITHIN, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        everybody = Users(estate.port, journal, session)
        crowd = [asyncio.create_task(run(everybody, kind, stop)) for kind in KINDS for _ in range(kind.loops)]
        disturbances = [asyncio.create_task(one) for one in disturbing]
        ended, _ = await asyncio.wait([*crowd, *disturbances], timeout=wanted.seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()  # none ends by itself, but by an error
        await _end(disturbances, flips)
        stop.set()
        await asyncio.gather(*crowd)
    tell("the traffic has ended; waiting until nothing is under way")
    checks, more = await asyncio.to_thread(_judge, wanted, estate, journal, watch, before)
    return [*large, *checks], watch, more


def _without_aiohttp(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """aiohttp's writer may fail in a task that nobody awaits, when a connection was killed; its request tells of it too."""
    if not isinstance(context.get("exception"), aiohttp.ClientError):
        loop.default_exception_handler(context)


async def _end(disturbances: list[asyncio.Task[None]], flips: Flips) -> None:
    """What was killed comes back and a hand-over that began is ended: only between those the disturbances are cut."""
    async with flips.quiet:
        for task in disturbances:
            task.cancel()
        await asyncio.gather(*disturbances, return_exceptions=True)


async def _tell(wanted: Plan, journal: Journal, watch: Watch, tell: Callable[[str], None]) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(min(10.0, wanted.seconds / 4))
        gone = time.monotonic() - began
        memory = watch.memory.values[-1] if watch.memory.values else 0.0
        tell(
            f"{gone:4.0f} s, {max(0.0, wanted.seconds - gone):4.0f} s to go: {sum(journal.done.values()):,} done, "
            f"{len(journal.unexcused)} failed, {sum(journal.flips.values())} flips, {memory:.1f} MB"
        )


def _own_descriptors(estate: Estate, watch: Watch) -> float:
    """Of the watched worker, without its connections to clients and to applications, which it may keep for a while."""
    others = sum(estate.metric(name, worker="0") for name in ("upstream_connections", "clients"))
    watch.look()
    return watch.descriptors.values[-1] - others


def _counted_for_ever(estate: Estate) -> float:
    """Connections to applications that are counted still when the applications are gone: each takes a place of the limit."""
    for side in estate.sides:
        estate.kill_application(side)
    with contextlib.suppress(RuntimeError):
        until(lambda: not estate.metric("upstream_connections"), "the end of all connections", SETTLE)
    return estate.metric("upstream_connections")


def _judge(wanted: Plan, estate: Estate, journal: Journal, watch: Watch, before: float) -> tuple[list[Check], dict[str, Any]]:
    def gauges() -> dict[str, float]:
        return {name: estate.metric(name) for name in GAUGES}

    with contextlib.suppress(RuntimeError):  # the check below says what is left
        until(lambda: not any(gauges().values()), "the end of all requests", SETTLE)
    left, after = gauges(), _own_descriptors(estate, watch)
    counters = {name: estate.metric(name) for name in COUNTERS}
    executed = estate.executed()
    counted = _counted_for_ever(estate)
    code = estate.stop_proxy()
    log = estate.log.read_text(errors="replace")
    wrong = [line for line in log.splitlines() if "Traceback" in line or "unexpected" in line or "worker.failed" in line]
    checks = [
        verdict.failures(journal),
        *verdict.writes(journal.writes, executed),
        verdict.sides(executed, journal.owners),
        verdict.memory(watch.memory.after(wanted.warm_up), wanted.memory),
        verdict.at_most("file descriptors are flat", after, before, REDIS),
        verdict.nothing_left("nothing is under way any more", left),
        verdict.nothing_left("no connection is counted that is none", {"to applications": counted}),
        Check("the proxy met nothing unexpected", "; ".join(wrong[:3]) or "nothing in its log", not wrong),
        Check("SIGTERM ends it with 0", f"exit code {code}", code == 0),
    ]
    return checks, {"counters": counters, "log": log.splitlines()[-200:] if wrong else []}
