"""Every message of the engine, told as a story: each gate in each of its states, the status, the errors.

``story.txt`` is what it says now. ``STORY_WRITE=1 pytest tests/unit/control/test_story.py`` writes it anew; read the difference.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from strangler.control import breakglass, drain, engine, errors, followers, ledger, sides, ways
from strangler.control.drain import Drain, NotDrained, NotEqual
from strangler.control.followers import Proxies
from strangler.control.handover import HandOver, Known
from strangler.control.ledger import DatabaseLedger
from strangler.control.models import Operation
from strangler.control.saga import REFUSED, UNDONE, Action, Runner, Running, Saga, silent
from strangler.control.status import Owner, Status
from strangler.control.transitions import Transition
from strangler.domain import gates, plan, safety, traffic, words
from strangler.domain.emergency import Loss
from strangler.domain.estate import Context
from strangler.domain.gates import DriftSeen, RehearsalSeen, ServedSeen, State, StreamSeen, Verdict, overridden
from strangler.domain.parity.seen import ParitySeen
from strangler.domain.stages import Position, Side, Stage
from strangler.domain.usage import Recording, Span, Use
from strangler.errors import Misuse, StranglerError
from strangler.management import render, screen
from strangler.sync import ownership
from tests.unit.control import ramp_story

STORY = Path(__file__).with_name("story.txt")
MIRROR, SHADOW, LIVE = (Position.of(stage) for stage in (Stage.MIRROR, Stage.SHADOW, Stage.LIVE))
TEN, HALF, ALL = (Position.of(Stage.CANARY, percent) for percent in (10, 50, 100))
PAYMENTS = Context("payments", ("shop.payments",), service_urls=("http://127.0.0.1:8105",), shadow_share=0.25)
STREAM = StreamSeen("payments", live=True, lag_ms=12, marker=7, backfilled=True)
COPIES, REVERSE = replace(STREAM, name="payments-copies"), replace(STREAM, name="payments-reverse")
BOUNDS = (0.01, 0.05, 0.1, 0.5)
WROTE = Use("write", "payments_payment", "task", "shop.nightly.settle", through=False, own=False, count=12, age_s=7200)
RECORDED = Recording((Span("web", 9e5, 0), Span("worker", 9e5, 0)))


# ---- the gates -----------------------------------------------------------------------------------------------------


def parity(samples: int, differing: int, *, least: int = 500, per_s: float = 1.3, share: float = 0.25, **more: Any) -> Verdict:
    worst = {"worst_endpoint": "GET /api/payments/<id>/", "worst_field": "captured_at"} if differing else {}
    seen = ParitySeen("payments", samples, differing, samples_per_s=per_s, **worst)
    return traffic.parity("payments", seen, threshold=0.999, least=least, share=share, window_s=86_400, **more)


def served(requests: int, failed: int = 0, *, slow: int = 0, earlier: bool = False, per_s: float = 2.0) -> ServedSeen:
    times = (requests - slow, 0, 0, slow, 0)
    return ServedSeen(requests, failed, times, BOUNDS, per_s, earlier=earlier)


def fail_share(service: ServedSeen, monolith: ServedSeen, *, least: int = 200) -> Verdict:
    return traffic.errors("payments", service, monolith, allowed=0.005, least=least)


def times(service: ServedSeen, monolith: ServedSeen) -> Verdict:
    return traffic.latency("payments", service, monolith, ratio=1.5, slack_ms=50, least=200)


def reverse(seen: StreamSeen, differing: int | None = 0) -> Verdict:
    check = DriftSeen("payments-reverse", differing, None if differing is None else 40)
    return gates.reverse_mirror("payments", seen, check, threshold_ms=500)


TOLD: dict[str, list[Verdict]] = {
    "health": [
        gates.health(True, ""),
        gates.health(False, "payments at http://127.0.0.1:8105 does not answer"),
        gates.health(False, "payments at http://127.0.0.1:8105 does not answer", gives_back="payments"),
        gates.health(None, "it was not asked"),
    ],
    "orphans": [replace(gates.loose_keys([], counts), gate="orphans") for counts in ({}, {"payments_payment.order_id": 3})],
    "backfill": [
        gates.backfill([STREAM, COPIES]),
        gates.backfill([replace(STREAM, backfilled=False)]),
        gates.backfill([replace(STREAM, backfilled=None)]),
        gates.backfill([]),
    ],
    "lag": [
        gates.lag(STREAM, threshold_ms=500),
        gates.lag(replace(STREAM, depth=40, oldest_ms=4200), threshold_ms=500),
        gates.lag(replace(STREAM, live=False, last_error="the service answered 503"), threshold_ms=500),
        gates.lag(replace(STREAM, marker=0), threshold_ms=500),
    ],
    "copies": [
        gates.copies(COPIES, threshold_ms=500),
        gates.copies(None, threshold_ms=500),
        gates.copies(replace(COPIES, backfilled=False), threshold_ms=500),
        gates.copies(replace(COPIES, marker=0), threshold_ms=500),
    ],
    "quarantine": [
        gates.quarantine([STREAM]),
        gates.quarantine([replace(STREAM, quarantined=2)]),
        gates.quarantine([replace(STREAM, quarantined=2, discarded=1)]),
    ],
    "stranded": [gates.stranded("payments", 0, 0), gates.stranded("payments", 1, 0), gates.stranded("payments", 0, 3)],
    "writers": [
        gates.writers("payments", [], RECORDED, days=7),
        gates.writers("payments", [], RECORDED, days=0),
        gates.writers("payments", [WROTE], RECORDED, days=7),
        gates.writers("payments", [replace(WROTE, access="unclear")], RECORDED, days=7),
        gates.writers("payments", [], Recording((Span("web", 7200, 0), Span("worker", 7200, 0))), days=7),
        gates.writers("payments", [], Recording(()), days=7),
        gates.writers("payments", [], Recording((*RECORDED.spans, Span("web", 9e5, 7200, lost=4))), days=7),
    ],
    "rehearsal": [
        gates.rehearsal("payments", RehearsalSeen(True, 7200, 412, 0, "9e76cdc5f0a1"), days=7),
        gates.rehearsal("payments", RehearsalSeen(False, 7200, 412, 9, "9e76cdc5f0a1b2+"), days=7),
        gates.rehearsal("payments", RehearsalSeen(True, 9e5, 412, 0), days=7),
        gates.rehearsal("payments", None, days=7),
    ],
    "unused": [
        gates.unused("payments", [], RECORDED, days=7),
        gates.unused("payments", [], RECORDED, days=0),
        gates.unused("payments", [replace(WROTE, access="read")], RECORDED, days=7, keep_copy=True),
        gates.unused("payments", [replace(WROTE, access="read")] * 5, RECORDED, days=7),
        gates.unused("payments", [replace(WROTE, access="hit", table="")], RECORDED, days=7),
        gates.unused("payments", [], Recording(()), days=7),
    ],
    "proxies": [
        gates.proxies(["web1:1", "web2:1"], {}),
        gates.proxies(["web1:1", "web2:1"], {"web2:1": "1.4"}),
        gates.proxies([], {}),
    ],
    "drift": [
        gates.drift("payments", [DriftSeen("payments", 0, 40)], max_age_s=300),
        gates.drift("payments", [DriftSeen("payments", 3, 40)], max_age_s=300),
        gates.drift("payments", [DriftSeen("payments", 0, 900)], max_age_s=300),
        gates.drift("payments", [DriftSeen("payments", None, None)], max_age_s=300),
    ],
    "parity": [
        parity(1204, 0),
        parity(0, 0, least=0),
        parity(12, 0, over=True),
        parity(1204, 16),
        parity(40, 20),
        parity(600, 1),
        parity(188, 0),
        parity(3, 0, per_s=0.0001),
        parity(0, 0),
        parity(0, 0, share=0),
    ],
    "errors": [
        fail_share(served(1200, 1), served(900, 1)),
        fail_share(served(0), served(900), least=0),
        fail_share(served(1200, 36), served(900, 1)),
        fail_share(served(1200, 36), served(900, 1, earlier=True)),
        fail_share(served(20, 18), served(0)),
        fail_share(served(300, 4), served(300)),
        fail_share(served(40, 3), served(400)),
        fail_share(served(40, 3, per_s=0.05), served(400)),
        fail_share(served(0), served(400)),
    ],
    "latency": [
        times(served(300), served(300)),
        times(served(300, slow=300), served(300)),
        times(served(300, slow=21), served(300)),
        times(served(80), served(300)),
        times(served(300), served(80)),
        times(served(300), served(0)),
        times(served(0), served(300)),
    ],
    "loose keys": [
        gates.loose_keys([], {}),
        gates.loose_keys(["payments_payment.order_id"], {}),
        gates.loose_keys([], {"payments_payment.order_id": 3}),
    ],
    "receivers": [
        gates.receivers([], [], []),
        gates.receivers(["shop.audit.on_payment"], [], []),
        gates.receivers([], ["shop.audit.on_payment (pre_save)"], []),
        gates.receivers([], [], ["shop.audit.typo"]),
    ],
    "tasks": [gates.tasks([]), gates.tasks(["payments.settle"])],
    "transactions": [gates.transactions(each, threshold_ms=500) for each in (None, 20, 4000)],
    "ownership": [
        gates.ownership((4, "monolith"), (4, "monolith"), expected="monolith"),
        gates.ownership((4, "monolith"), (3, "monolith"), expected="monolith"),
        gates.ownership((4, "monolith"), None, expected="monolith"),
    ],
    "reverse mirror": [
        reverse(REVERSE),
        reverse(replace(REVERSE, live=False)),
        reverse(replace(REVERSE, depth=9, oldest_ms=3000)),
        reverse(replace(REVERSE, quarantined=2)),
        reverse(REVERSE, 3),
        reverse(replace(REVERSE, marker=0), None),
    ],
}
NO_UNKNOWN = ("orphans", "quarantine", "stranded", "loose keys", "receivers", "tasks", "transactions")
"""What is counted in the own database is always known; if that is away, the whole command fails."""


def gate_lines() -> Iterator[str]:
    for gate, told in TOLD.items():
        yield f"\n  {gate}" + (" (may be overridden)" if gate in plan.SOFT else f": {plan.FIRM[gate]}")
        for verdict in told:
            yield f"    {verdict.state:<8} {verdict.reason}"
            yield f"             saw {verdict.observed}; wants {verdict.threshold}"
    (verdict,) = overridden([parity(1204, 16)], ["parity"], by="ada", why="captured_at is rounded on purpose")
    yield "\n  one that was overridden"
    yield from shown(render.verdicts([verdict]))


# ---- where a context stands ----------------------------------------------------------------------------------------

STANDS: list[tuple[str, Position, str, Position | None, list[Verdict], str]] = [
    ("before anything", Position.of(Stage.MONOLITH), "monolith", MIRROR, [], ""),
    ("the service is away", Position.of(Stage.MONOLITH), "monolith", MIRROR, [TOLD["health"][1]], ""),
    ("no service is declared", Position.of(Stage.MONOLITH), "monolith", None, [], "contexts.orders.service names no service"),
    ("rows are copied", MIRROR, "monolith", SHADOW, [TOLD["backfill"][1], TOLD["proxies"][2]], ""),
    ("answers are compared", SHADOW, "monolith", TEN, [parity(188, 0)], ""),
    ("answers differ", Position.of(Stage.CANARY, 25), "monolith", HALF, [parity(1204, 16)], ""),
    ("the service is slow and nobody knows of errors", HALF, "monolith", ALL, [TOLD["latency"][1], TOLD["errors"][6]], ""),
    ("somebody moves it", HALF, "monolith", ALL, [], "an operation is under way: advance payments (canary → canary) by eve"),
    ("ready to be cut over", ALL, "monolith", LIVE, [], ""),
    (
        "for the moment of a hand-over",
        ALL,
        "none",
        LIVE,
        [],
        "an operation is under way: advance payments (canary → live) by eve",
    ),
    ("cut over", LIVE, "service", Position.of(Stage.RETIRED), [], ""),
    ("at the end of the way", Position.of(Stage.RETIRED), "service", None, [], "this is the last stage"),
]


def standing_lines() -> Iterator[str]:
    for when, at, owner, to, shut, said in STANDS:
        sentence = words.standing("payments", plan.reads(at, 0.25), plan.writes(owner), words.following(to, shut, said))
        yield f"\n  {when}"
        yield f"    {sentence}"


def safety_lines() -> Iterator[str]:
    eve = "advance payments (canary → live) by eve"
    for when, judged in (
        ("before anything", safety.judge("payments", Position.of(Stage.MONOLITH), "monolith", [])),
        ("in canary", safety.judge("payments", HALF, "monolith", [])),
        ("while somebody moves it", safety.judge("payments", HALF, "monolith", [], operation=eve)),
        ("live", safety.judge("payments", LIVE, "service", TOLD["reverse mirror"][:1])),
        ("live, and rows wait in quarantine", safety.judge("payments", LIVE, "service", [TOLD["reverse mirror"][3]])),
        ("live, and the service is away", safety.judge("payments", LIVE, "service", [TOLD["health"][2]])),
        ("live, but the owner is another", safety.judge("payments", LIVE, "monolith", [])),
    ):
        yield f"\n  {when}"
        yield f"    safe to roll back now: {'yes' if judged.safe else 'no'}, because {judged.because}"
        if judged.command:
            yield f"    {judged.command}"


def status() -> Status:
    """What ``strangler status payments`` shows of the one in the issue's example."""
    verdict = parity(1204, 16)
    next_ = words.following(HALF, [verdict])
    reads = plan.reads(Position.of(Stage.CANARY, 25))
    since = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    return Status(
        context="payments",
        sentence=words.standing("payments", reads, "monolith", next_),
        stage="canary",
        percent=25,
        since=since,
        reads=reads,
        writes="monolith",
        data=plan.data(HALF),
        service="http://127.0.0.1:8105",
        monolith_says=Owner("monolith", 4),
        service_says=Owner("", None, "payments at http://127.0.0.1:8105 does not answer"),
        streams=(STREAM, replace(COPIES, depth=3, quarantined=1, last_error="the service answered 503")),
        operation=None,
        verdicts=(verdict, TOLD["health"][1]),
        next="strangler advance payments",
        blocked=str(verdict),
        safe_to_roll_back=True,
        because="the monolith owns every row and answers every request by itself",
        back="strangler rollback payments",
        alarms=("stream payments is broken: its outbox is over its budget; next: strangler sync backfill payments",),
    )


def shown(*parts: Any) -> Iterator[str]:
    console = screen.console()
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    yield from (f"    {line}".rstrip() for line in capture.get().splitlines())


# ---- the errors ----------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """How an error comes about, by the code that raises it."""

    when: str
    cause: Callable[[pytest.MonkeyPatch], Any]


RUNNING = Running("6f1", "payments", "advance", ALL, LIVE, "flip", 1, who="ada")


def receipt(outcome: str, verdicts: list[Verdict], error: str = "") -> Any:
    return SimpleNamespace(outcome=outcome, context="payments", error=error, verdicts=[each.to_json() for each in verdicts])


def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Operation(context="orders", verb="advance", from_stage="canary", to_stage="live", who="eve", step="drain")
    monkeypatch.setattr(ledger, "open_operation", lambda: running)
    monkeypatch.setattr(ledger.transaction, "atomic", lambda using: taken())
    DatabaseLedger(alias="default").begin(context="payments", verb="advance", at=ALL, to=LIVE, step="gates", who="ada", why="")


def taken() -> Any:
    raise ledger.IntegrityError("strangler_operation_one_open")


def moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "migration_of", lambda _: None)
    monkeypatch.setattr(engine, "position_of", lambda _: LIVE)
    monkeypatch.setattr(engine, "_steps", lambda *_: ("gates",))
    book = SimpleNamespace(begin=lambda **_: RUNNING, note=lambda *_, **__: RUNNING, finish=lambda *_: None)
    workshop: Any = SimpleNamespace(context=PAYMENTS, ledger=book, keep_copy=False)
    engine._once(workshop, "advance", TEN, HALF, who="ada", why="", enter=lambda begin: begin())


def too_slow(_: pytest.MonkeyPatch) -> None:
    hand_over = HandOver.__new__(HandOver)
    hand_over.max_pause_ms, hand_over.clock = 500, lambda: 100.43
    steps = {"hold": 40.0, "fence": 12.0}
    hand_over._in_time(replace(RUNNING, step="drain", data={"held_at": 100.0, "steps_ms": steps}))


def locked(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(*_: Any, **__: Any) -> None:
        raise ownership.OwnershipBusy("payments is being written; its lock was not free in 3 tries of 100 ms")

    monkeypatch.setattr(ownership, "change", change)
    sides.MonolithSide("payments").change(epoch=5, owner="none", operation="6f1")


def redis_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers.conf, "setting", lambda _: "redis://:secret@127.0.0.1:6379/0")
    with followers.reachable():
        raise redis.ConnectionError("Error 111 connecting to 127.0.0.1:6379. Connection refused.")


def late(live: list[str]) -> Callable[[pytest.MonkeyPatch], None]:
    def cause(monkeypatch: pytest.MonkeyPatch) -> None:
        seen = [followers.Follower(each, 0.0, (1, 4)) for each in live]
        client: Any = SimpleNamespace()
        proxies = Proxies(client)
        monkeypatch.setattr(proxies, "open", lambda: None)
        monkeypatch.setattr(proxies, "live", lambda: seen)
        proxies.wait(lambda one: one.id == "web1:1", timeout_s=0, what="table 1.5", least=1)

    return cause


def paused(_: pytest.MonkeyPatch) -> None:
    ticks = iter((0.0, 16.0))
    book: Any = SimpleNamespace(reload=lambda running: running)
    nobody: Any = None
    transition = Transition(PAYMENTS, nobody, book, nobody, nobody, nobody, print, slice_s=15, clock=lambda: next(ticks))
    transition._breathe(replace(RUNNING, step="backfill", at=Position.of(Stage.MONOLITH), to=MIRROR))


def waits(_: pytest.MonkeyPatch) -> None:
    def flip(_: Running) -> dict[str, Any]:
        raise StranglerError("Redis at 127.0.0.1:6379 does not answer")

    actions: dict[str, Action] = {"flip": flip}
    book: Any = SimpleNamespace(reload=lambda running: running, note=lambda running, **_: running, release=lambda _: None)
    Runner(Saga(actions, {}, {}, no_return=frozenset(actions)), book, silent, patience_s=-1).drive(RUNNING)


def judged(outcome: str, verdicts: list[Verdict], error: str = "") -> Callable[[pytest.MonkeyPatch], None]:
    return lambda _: engine._judged(receipt(outcome, verdicts, error), TEN, HALF) and None


def refused(**more: Any) -> Callable[[pytest.MonkeyPatch], None]:
    given = {"at": TEN, "way": [HALF], "overrides": ["parity"], "why": "a reason", **more}
    return lambda _: ways.check_overrides("payments", given["at"], given["way"], given["overrides"], given["why"])


def break_glass(*answers: str, owner: str = "service", at: Position = LIVE, phrase: str = "payments 4") -> Any:
    """``answers``: why the service is not ready, at each look."""

    def cause(monkeypatch: pytest.MonkeyPatch) -> None:
        looks = iter(answers)
        monkeypatch.setattr(breakglass, "_waiting", lambda _: "")
        monkeypatch.setattr(breakglass, "BETWEEN_LOOKS_S", 0)
        monkeypatch.setattr(breakglass, "_why_not_ready", lambda *_: next(looks))
        monkeypatch.setattr(breakglass, "loss_of", lambda _: Loss(455, 812, "2026-11-26T09:00:00+00:00", 30, 2, 1.5))
        side: Any = SimpleNamespace(read=lambda: Known(4, owner))
        seen = breakglass.look(PAYMENTS, at, side)
        monkeypatch.setattr(engine, "context_named", lambda _: PAYMENTS)
        monkeypatch.setattr(engine, "emergency", lambda _: seen)
        engine.break_glass("payments", confirm=phrase, who="ada")

    return cause


def not_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    row = SimpleNamespace(marker=80, last_error="the service answered 503", reason="")
    monkeypatch.setattr(Drain, "_row", lambda _: row)
    monkeypatch.setattr(drain, "carry", lambda *_: "")
    drain.Drain(PAYMENTS, Side.MONOLITH).to(90, 0.0)


def not_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    report = SimpleNamespace(differing=[("payments_payment", "7", "missing"), ("payments_payment", "9", "changed")], in_flight=0)
    drain.Drain(PAYMENTS, Side.MONOLITH)._equal(report)


ERRORS: list[Told] = [
    Told("A gate is closed.", judged(REFUSED, [parity(1204, 16), TOLD["proxies"][2], TOLD["lag"][0]])),
    Told("Somebody else is at it.", busy),
    Told("Somebody else was quicker.", moved),
    Told("The owner's lock was not to be had.", locked),
    Told("A step was slow.", too_slow),
    Told("A proxy does not follow.", late(["web1:1", "web2:1"])),
    Told("No proxy is left.", late([])),
    Told("Redis is away.", redis_away),
    Told("A stream did not arrive in time.", not_drained),
    Told("Both sides are not equal after it.", not_equal),
    Told("A long step gives its worker back.", paused),
    Told("A step can only go forward.", waits),
    Told("It did not begin.", judged(REFUSED, [], "payments at http://127.0.0.1:8105 does not answer")),
    Told("It undid itself.", judged(UNDONE, [], "stream payments is at marker 80 and was to reach 90")),
    Told("There is no pause to bound.", lambda _: ways.check_hands_over("payments", TEN, [HALF])),
    Told("Break-glass of a service that lives.", break_glass("does not answer", "")),
    Told("Break-glass with another phrase.", break_glass(*["does not answer"] * 3, phrase="yes")),
    Told("Break-glass where the monolith owns.", break_glass(owner="monolith", at=ALL)),
    Told("Break-glass where nothing follows.", break_glass(at=Position.of(Stage.RETIRED))),
    Told("An override without a reason.", refused(why=" ")),
    Told("An override of more than one step.", refused(way=[HALF, ALL])),
    Told("An override of a gate that is not there.", refused(at=MIRROR, way=[SHADOW])),
    Told("An override that would break a promise.", refused(overrides=["drift"])),
    Told("A way forward that lies behind.", lambda _: ways.way_forward(PAYMENTS, LIVE, "shadow")),
    Told("A way forward to where it is.", lambda _: ways.way_forward(PAYMENTS, LIVE, "live")),
    Told("A way on from the end.", lambda _: ways.way_forward(PAYMENTS, Position.of(Stage.RETIRED))),
    Told("A way back from the beginning.", lambda _: ways.way_back(PAYMENTS, Position.of(Stage.MONOLITH))),
    Told("A way back that lies ahead.", lambda _: ways.way_back(PAYMENTS, SHADOW, "live")),
    Told("A stage that there is not.", lambda _: ways.way_forward(PAYMENTS, SHADOW, "alive")),
    Told("A share that there is not.", lambda _: ways.way_forward(PAYMENTS, SHADOW, None, 110)),
    Told("A share outside of canary.", lambda _: ways.way_forward(PAYMENTS, SHADOW, "live", 10)),
]


def raised(told: Told) -> StranglerError:
    with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(StranglerError) as found:
        told.cause(monkeypatch)
    return found.value


def error_lines() -> Iterator[str]:
    for told in ERRORS:
        error = raised(told)
        yield f"\n  {told.when} ({type(error).__name__})"
        yield f"    {error}"


# ---- the story -----------------------------------------------------------------------------------------------------


def story() -> str:
    parts = [
        "What the gates say. Each state, what it saw, what it wants; and what an override would break.",
        *gate_lines(),
        "\n\nWhere payments stands, in one paragraph.",
        *standing_lines(),
        "\n\nWhether there is a way back.",
        *safety_lines(),
        "\n\nstrangler status payments",
        *shown(*render.status(status())),
        "\n\nWhat a ramp does, and says.",
        *ramp_story.lines(),
        "\n\nWhat goes wrong.",
        *error_lines(),
    ]
    return "\n".join(parts) + "\n"


def test_the_story_is_told_as_it_was() -> None:
    told = story()
    if os.environ.get("STORY_WRITE"):
        STORY.write_text(told, encoding="utf-8")
    assert told == STORY.read_text(encoding="utf-8")


def test_every_gate_occurs_in_every_state_that_it_has() -> None:
    every = {gate for declared in (*plan.GATES.values(), *plan.TRAFFIC.values()) for gate in declared}
    assert every == set(TOLD)
    for gate, told in TOLD.items():
        assert {verdict.gate for verdict in told} == {gate}
        missing = {State.UNKNOWN} if gate in NO_UNKNOWN else set()
        assert {verdict.state for verdict in told} == set(State) - missing, gate


def test_every_error_of_the_engine_occurs() -> None:
    declared = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__ and kind is not errors.Slow
    }
    assert declared | {Misuse, NotDrained, NotEqual} <= {type(raised(told)) for told in ERRORS}


def test_no_message_ends_without_saying_something() -> None:
    for told in ERRORS:
        assert len(str(raised(told)).split()) > 5
    for verdict in (each for told in TOLD.values() for each in told):
        assert len(verdict.reason.split()) > 3
