"""The engine on real PostgreSQL and Valkey: the whole way there and back, refusals, and processes that die in each step."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from django.db import connection
from django.db.models import signals

from monolith.payments import tasks as payment_tasks
from monolith.payments.models import Payment
from strangler.control import engine, faultpoints, publish, reconcile, saga, tasks
from strangler.control.errors import Busy, GatesClosed, StillRunning, Undone
from strangler.control.handover import DRAIN_SHARE
from strangler.control.ledger import open_operation
from strangler.control.models import Migration, Operation, Receipt, RouteTableVersion
from strangler.control.observe import Observer, _is_closed
from strangler.domain.channels import PROXIES, WORKERS
from strangler.domain.gates import State, Verdict
from strangler.domain.plan import Plan
from strangler.errors import Misuse
from strangler.sync import ownership, streams
from strangler.sync.lock import lock_key
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.service import FakeService
from tests.integration.seams.shop import make_order, make_payment

STEPS = ("gates", "pause", "hold", "fence", "drain", "offer", "commit", "confirm", "flip", "reverse")
FORWARD = ("confirm", "flip", "reverse")
WHO = {"who": "ada", "why": "a test", "tries": 1}


class Killed(BaseException):
    """kill -9, as far as a thread can be killed."""


def stage() -> str:
    row = Migration.objects.get(context="payments")
    return f"{row.stage} {row.percent}" if row.percent else row.stage


def expire() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_operation SET holder_until = now() - interval '1 second'")


def kill_at(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    def reach(step: str) -> None:
        if step == wanted:
            raise Killed

    monkeypatch.setattr(faultpoints, "reach", reach)


def assert_settled(estate: SmallEstate, owner: str) -> None:
    here = ownership.get("payments")
    said = estate.service.row
    assert (here.owner, said["owner"]) == (owner, owner)
    assert here.epoch == said["epoch"]
    assert open_operation() is None
    assert Receipt.objects.exclude(verb="reconcile").count() == Operation.objects.count()
    assert estate.proxy.table["contexts"]["payments"]["hold"] is None


def test_the_whole_way_there_and_back_leaves_nothing_behind(estate: SmallEstate) -> None:
    there = engine.travel("advance", "payments", to="retired", **WHO)
    assert [f"{receipt.to_stage} {receipt.to_percent}".removesuffix(" 0") for receipt in there] == [
        "mirror",
        "shadow",
        "canary 10",
        "canary 100",
        "live",
        "retired",
    ]
    assert stage() == "retired"
    back = engine.travel("rollback", "payments", to="monolith", **WHO)
    assert [receipt.to_stage for receipt in back] == ["live", "canary", "shadow", "mirror", "monolith"]
    assert_settled(estate, "monolith")
    assert ownership.get("payments").epoch == 3  # the epoch stays, for requests that are stamped with it
    again = engine.advance("payments", to="live", **WHO)
    assert again.outcome == "done"
    assert_settled(estate, "service")
    assert estate.service.history[-3:] == [(4, "monolith"), (5, "none"), (5, "service")]


def test_a_cutover_measures_its_pause_and_names_the_proxies(canary: SmallEstate) -> None:
    receipt = engine.advance("payments", **WHO)
    assert 0 < receipt.pause_ms < 2000
    assert set(receipt.steps_ms) == set(STEPS)
    assert list(receipt.proxies) == ["proxy:1"]
    assert {verdict["gate"] for verdict in receipt.verdicts} >= {"drift", "lag", "proxies", "loose keys", "ownership"}
    assert streams.state("payments-reverse") == "live"
    held = [table["contexts"]["payments"]["hold"] for table in canary.proxy.tables]
    assert sum(hold is not None for hold in held) == 1


def test_p20_no_table_that_was_ever_published_is_ahead_of_the_monolith(canary: SmallEstate) -> None:
    """A stamp above the local epoch is refused as stale, so the ownership row must never be behind what proxies have."""
    engine.travel("rollback", "payments", to="monolith", **WHO)
    published = max(table["contexts"]["payments"]["epoch"] for table in canary.proxy.tables)
    assert ownership.get("payments").epoch >= published


def test_p16_on_the_way_out_of_the_mirror_the_epoch_does_not_fall_even_for_a_moment(canary: SmallEstate) -> None:
    """Proxies still stamp it: a monolith that knew a lower one would take itself for stale, and answer 421."""
    epoch, seen = ownership.get("payments").epoch, []
    onlooker = connection.copy()

    def look(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        with onlooker.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(epoch), 0) FROM strangler_ownership WHERE context = 'payments'")
            seen.append(cursor.fetchone()[0])
        return result

    try:
        with connection.execute_wrapper(look):
            engine.travel("rollback", "payments", to="monolith", **WHO)
    finally:
        onlooker.close()
    assert set(seen) == {epoch}


def test_the_service_goes_on_with_greater_ids(canary: SmallEstate) -> None:
    engine.advance("payments", **WHO)
    assert all(value >= 1 for value in canary.service.next_ids.values())


def test_a_dry_run_judges_everything_and_changes_nothing(canary: SmallEstate) -> None:
    before = (stage(), ownership.get("payments"), RouteTableVersion.objects.count(), Operation.objects.count())
    plan = engine.advance("payments", dry_run=True, **WHO)
    assert isinstance(plan, Plan)
    assert plan.open
    assert plan.steps == STEPS
    assert (stage(), ownership.get("payments"), RouteTableVersion.objects.count(), Operation.objects.count()) == before


def test_a_closed_gate_refuses_with_its_reason_and_a_receipt(canary: SmallEstate) -> None:
    streams.stop("payments")
    with pytest.raises(GatesClosed, match="lag: stream payments is not running"):
        engine.advance("payments", **WHO)
    receipt = Receipt.objects.latest("id")
    assert (receipt.outcome, receipt.to_stage) == ("refused", "live")
    assert stage() == "canary 100"


def test_p26_a_receiver_without_a_place_closes_the_cut_over(canary: SmallEstate) -> None:
    def audit(**_: object) -> None:
        """Somebody listens."""

    signals.post_save.connect(audit, sender=Payment)
    try:
        with pytest.raises(GatesClosed, match=r"no disposition .* below receivers: .*audit"):
            engine.advance("payments", **WHO)
    finally:
        signals.post_save.disconnect(audit, sender=Payment)
    assert engine.advance("payments", **WHO).outcome == "done"


def test_p26_a_task_that_would_not_follow_its_owner_closes_the_cut_over(canary: SmallEstate, monkeypatch) -> None:
    monkeypatch.setattr(payment_tasks.resolve_processing, "context", "orders")
    with pytest.raises(GatesClosed, match=r"make each an owner_task of the context: payments.resolve_processing"):
        engine.advance("payments", **WHO)


def test_a_proxy_with_a_write_in_flight_delays_the_cutover_until_it_is_undone(canary: SmallEstate) -> None:
    canary.proxy.busy = True
    with pytest.raises(Undone, match="no older write in flight"):
        engine.advance("payments", **WHO)
    assert stage() == "canary 100"
    assert_settled(canary, "monolith")
    assert ownership.get("payments").epoch == 1  # turned back from the hold: nothing was fenced


def test_a_proxy_that_was_killed_a_moment_ago_is_not_waited_for_long(canary: SmallEstate) -> None:
    killed = {"id": "proxy:9", "at": time.time() - 4, "table": [1, 1], "held": {}, "error": ""}
    canary.redis.hset(PROXIES, "proxy:9", json.dumps(killed))
    assert engine.advance("payments", **WHO).outcome == "done"


def test_a_gate_that_opens_right_after_it_was_looked_at_is_open() -> None:
    """The look that found it closed is never the last word: it is looked at again, until it is open or the time is over."""
    closed = Verdict("proxies", State.FAIL, "1 behind", "none", "")
    looks = iter([closed, closed, Verdict("proxies", State.PASS, "0 behind", "none", "")])
    observer = Observer(None, None, None, None)  # type: ignore[arg-type]
    assert observer._patiently(lambda: next(looks), 5, meanwhile=_is_closed).passes
    unknown = Verdict("proxies", State.UNKNOWN, "no proxy", "one", "")
    assert observer._patiently(lambda: unknown, 60, meanwhile=_is_closed) is unknown  # waiting would not help


def test_a_cutover_that_found_a_busy_moment_is_tried_again_with_a_receipt_each(canary: SmallEstate, monkeypatch) -> None:
    def reach(step: str) -> None:
        canary.proxy.busy = step == "hold" and Receipt.objects.filter(to_stage="live").count() == 0

    monkeypatch.setattr(faultpoints, "reach", reach)
    monkeypatch.setattr(engine, "BETWEEN_TRIES_S", 0.01)
    receipts = engine.travel("advance", "payments", **{**WHO, "tries": 2})
    assert [receipt.outcome for receipt in receipts] == ["undone", "done"]
    assert receipts[0].pause_ms < 2000  # turned back in time to stay within the longest pause
    assert_settled(canary, "service")


def test_step_fence_behind_an_open_writer_is_undone_and_names_it(canary: SmallEstate) -> None:
    """A transaction outside of every proxy has written payments and stays open."""
    writer = connection.copy()
    try:
        with writer.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [lock_key("payments")])
            with pytest.raises(Undone, match="ownership lock is held by backend"):
                engine.advance("payments", **WHO)
        assert_settled(canary, "monolith")
        assert ownership.get("payments").epoch == 1  # nothing was fenced, so nothing had to be undone
    finally:
        writer.close()


def test_step_pause_waits_for_a_running_task_and_parks_no_write_meanwhile(canary: SmallEstate) -> None:
    busy = {"id": "celery@a", "at": time.time(), "table": [9, 9], "held": {}, "error": "it runs payments.settle [7] for 41 s"}
    canary.redis.hset(WORKERS, "celery@a", json.dumps(busy))
    published = len(canary.proxy.tables)
    with pytest.raises(Undone, match=r"1 of 1 workers did not .* no task of payments running .* payments.settle \[7\] for 41 s"):
        engine.advance("payments", **{**WHO, "tries": 3})
    assert_settled(canary, "monolith")
    assert ownership.get("payments").epoch == 1
    assert Receipt.objects.filter(to_stage="live").count() == 1  # more tries would wait for the same task
    parked = [table["contexts"]["payments"] for table in canary.proxy.tables[published:]]
    assert [(bool(one["pause"]), bool(one["hold"])) for one in parked] == [(True, False), (False, False)]


def test_step_pause_does_not_wait_for_a_worker_that_is_gone(canary: SmallEstate) -> None:
    silent = {"id": "celery@a", "at": time.time() - 6, "table": [1, 1], "held": {}, "error": ""}
    canary.redis.hset(WORKERS, "celery@a", json.dumps(silent))
    assert engine.advance("payments", **WHO).outcome == "done"


def test_p25_a_rollback_follows_deletes_that_fell_between_the_owners(live: SmallEstate, monkeypatch) -> None:
    """A parent whose delete came when the service owned no more and the monolith not yet: nobody heard of it."""

    def reach(step: str) -> None:
        if step == "reverse":
            orphan = make_payment(make_order())
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM orders_order WHERE id = %s", [orphan.order_id])

    monkeypatch.setattr(faultpoints, "reach", reach)
    assert engine.rollback("payments", **WHO).outcome == "done"
    assert not Payment.objects.exists()


# ---- the seven steps, with a process that dies in each ------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_step_killed_in_a_cutover_is_undone_before_commit_and_finished_after(canary: SmallEstate, monkeypatch, step: str) -> None:
    kill_at(monkeypatch, step)
    with pytest.raises(Killed):
        engine.advance("payments", **WHO)
    monkeypatch.undo()
    expire()
    receipt = engine.resume()
    committed = step in FORWARD
    assert receipt.outcome == ("done" if committed else "refused" if step == "gates" else "undone")
    assert_settled(canary, "service" if committed else "monolith")
    assert stage() == ("live" if committed else "canary 100")
    if not committed:
        assert engine.advance("payments", **WHO).outcome == "done"  # and the next attempt goes through


@pytest.mark.parametrize("step", STEPS)
def test_step_killed_in_a_rollback_is_undone_before_commit_and_finished_after(live: SmallEstate, monkeypatch, step: str) -> None:
    kill_at(monkeypatch, step)
    with pytest.raises(Killed):
        engine.rollback("payments", **WHO)
    monkeypatch.undo()
    expire()
    receipt = engine.resume()
    committed = step in FORWARD
    assert receipt.outcome == ("done" if committed else "refused" if step == "gates" else "undone")
    assert_settled(live, "monolith" if committed else "service")
    assert stage() == ("canary 100" if committed else "live")


@pytest.mark.parametrize("step", ["install", "loosen", "streams", "backfill", "catch up", "publish", "converge"])
def test_step_killed_on_the_way_into_the_mirror_goes_on(estate: SmallEstate, monkeypatch, step: str) -> None:
    kill_at(monkeypatch, step)
    with pytest.raises(Killed):
        engine.advance("payments", **WHO)
    monkeypatch.undo()
    expire()
    assert engine.resume().outcome == "done"
    assert stage() == "mirror"


def test_step_commit_of_a_zombie_that_wakes_after_the_undo_is_refused(canary: SmallEstate, monkeypatch) -> None:
    """It sleeps right before the commit's transaction; the tick undoes; it wakes."""

    def reach(step: str) -> None:
        if step == "commit":
            monkeypatch.undo()
            expire()
            assert engine.resume().outcome == "undone"

    monkeypatch.setattr(faultpoints, "reach", reach)
    with pytest.raises(saga.LostLease):
        engine.advance("payments", **WHO)
    assert_settled(canary, "monolith")
    assert stage() == "canary 100"


def test_step_drain_that_is_too_slow_undoes_itself_and_says_so(canary: SmallEstate, monkeypatch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_stream SET lease_until = now() + interval '1 hour', lease_holder = 'elsewhere:1:1'")
    monkeypatch.setattr("strangler.sync.relay.run", lambda *_, **__: 0)
    with pytest.raises(Undone, match="stream payments is at marker"):
        engine.advance("payments", **WHO)
    assert_settled(canary, "monolith")
    assert Receipt.objects.latest("id").pause_ms >= DRAIN_SHARE * 2000


# ---- sides that are away ------------------------------------------------------------------------------------------


def test_p16_a_service_that_missed_the_undo_is_told_by_the_tick(canary: SmallEstate) -> None:
    def die_at_the_offer(method: str, path: str) -> None:
        if method == "PUT":
            raise FakeService.Gone

    canary.service.before = die_at_the_offer
    with pytest.raises(Undone, match="does not answer"):
        engine.advance("payments", **WHO)
    assert ownership.get("payments").owner == "monolith"
    assert canary.service.row["epoch"] == 1
    canary.service.before = lambda *_: None
    assert reconcile.tell_owed() == ["payments"]
    assert_settled(canary, "monolith")
    assert reconcile.tell_owed() == []


def test_p16_a_lost_answer_to_the_confirmation_is_asked_again(canary: SmallEstate) -> None:
    lost = []

    def lose_first_confirmation(method: str, path: str) -> None:
        if method == "PUT" and canary.service.row["owner"] == "service" and not lost:
            lost.append(True)
            raise FakeService.Gone

    canary.service.after = lose_first_confirmation
    assert engine.advance("payments", **WHO).outcome == "done"
    assert lost
    assert_settled(canary, "service")


def test_p16_a_service_that_dies_after_the_commit_is_waited_for(canary: SmallEstate, monkeypatch) -> None:
    def die_at_the_confirmation(method: str, path: str) -> None:
        if method == "PUT" and canary.service.row["owner"] == "none":
            raise FakeService.Gone

    canary.service.before = die_at_the_confirmation
    monkeypatch.setattr(saga.Runner, "patience_s", 0.2)
    original = engine._drive
    monkeypatch.setattr(engine, "_drive", lambda *args, **kwargs: original(*args, **{**kwargs, "patience_s": 0.2}))
    with pytest.raises(StillRunning, match="step confirm waits"):
        engine.advance("payments", **WHO)
    assert ownership.get("payments").owner == "service"
    with pytest.raises(StillRunning):
        engine.resume()
    canary.service.before = lambda *_: None
    assert engine.resume().outcome == "done"
    assert_settled(canary, "service")


def test_p16_another_database_owns_nothing_until_it_is_reconciled(live: SmallEstate) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_ownership SET system_identifier = '1'")
    tasks.guard_identity()
    assert ownership.get("payments").owner == "none"
    with pytest.raises(GatesClosed, match="do not agree"):
        engine.rollback("payments", **WHO)
    assert reconcile.reconcile("payments", who="ada") == (4, "service")
    assert Receipt.objects.get(verb="reconcile").verdicts[0]["reason"] == "set anew at epoch 4"
    assert_settled(live, "service")


def fail_over(estate: SmallEstate, side: str) -> None:
    """The side's database is another one from here on, and its tick notices."""
    if side == "service":
        estate.service.row = {**estate.service.row, "epoch": estate.service.row["epoch"] + 1, "owner": "none", "operation": "db"}
        return
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_ownership SET system_identifier = '1'")
    tasks.guard_identity()


@pytest.mark.parametrize(
    ("verb", "step", "side"),
    [("advance", "offer", "monolith"), ("advance", "confirm", "service"), ("rollback", "flip", "monolith")],
)
def test_p16_a_database_that_fails_over_in_a_hand_over_leaves_an_end_and_is_reconciled(
    canary: SmallEstate, monkeypatch, verb: str, step: str, side: str
) -> None:
    """A side that closed itself refuses what the operation says; the operation ends all the same, or nobody could settle it."""
    if verb == "rollback":
        engine.advance("payments", to="live", **WHO)
    kill_at(monkeypatch, step)
    with pytest.raises(Killed):
        getattr(engine, verb)("payments", **WHO)
    monkeypatch.undo()
    fail_over(canary, side)
    expire()
    assert engine.resume(patience_s=0.5).outcome == ("done" if step in FORWARD else "undone")
    owner = "service" if stage() == "live" else "monolith"
    with contextlib.suppress(Misuse):  # the operation may have come after it, at a higher epoch
        reconcile.reconcile("payments", who="ada")
    canary.proxy.wait_for(RouteTableVersion.objects.latest("id").version)
    assert_settled(canary, owner)


def test_p22_rollback_from_live_with_a_dead_service_is_refused_and_says_why(live: SmallEstate) -> None:
    before = (ownership.get("payments"), RouteTableVersion.objects.count())
    live.service.die()
    with pytest.raises(GatesClosed, match="a dead service can't be fenced"):
        engine.rollback("payments", **WHO)
    assert (ownership.get("payments"), RouteTableVersion.objects.count()) == before
    assert stage() == "live"


def test_p22_rollback_before_live_needs_no_service(canary: SmallEstate) -> None:
    canary.service.die()
    engine.rollback("payments", to="monolith", **WHO)
    assert stage() == "monolith"


@pytest.mark.parametrize(("step", "outcome"), [("hold", "undone"), ("flip", "done")])
def test_step_redis_away_undoes_before_the_commit_and_is_waited_for_after(canary, monkeypatch, step: str, outcome: str) -> None:
    paused = []

    def reach(reached: str) -> None:
        if reached == step and not paused:
            paused.append(canary.redis.client_pause(2500, all=True))

    monkeypatch.setattr(faultpoints, "reach", reach)
    if outcome == "undone":
        with pytest.raises(Undone, match="Redis at .* does not answer"):
            engine.advance("payments", **WHO)
    else:
        assert engine.advance("payments", **WHO).outcome == outcome
    canary.redis.client_unpause()
    publish.republish()
    canary.proxy.wait_for(RouteTableVersion.objects.latest("id").version)
    assert Receipt.objects.latest("id").outcome == outcome
    assert_settled(canary, "service" if outcome == "done" else "monolith")


# ---- operators ----------------------------------------------------------------------------------------------------


def test_a_hold_parks_and_lets_go_and_leaves_a_receipt(canary: SmallEstate) -> None:
    receipt = engine.hold("payments", 0.3, who="ada")
    assert (receipt.verb, receipt.outcome) == ("hold", "done")
    assert receipt.pause_ms >= 300
    assert canary.proxy.table["contexts"]["payments"]["hold"] is None


def test_a_hold_whose_process_dies_before_it_holds_is_undone_and_stands_in_nobodys_way(canary: SmallEstate, monkeypatch) -> None:
    kill_at(monkeypatch, "hold")
    with pytest.raises(Killed):
        engine.hold("payments", 1, who="ada")
    monkeypatch.undo()
    expire()
    receipt = engine.resume(patience_s=0.5)
    assert (receipt.verb, receipt.outcome, receipt.pause_ms) == ("hold", "undone", None)
    assert engine.advance("payments", **WHO).outcome == "done"


def test_while_one_operation_runs_another_is_told(canary: SmallEstate, monkeypatch) -> None:
    def reach(step: str) -> None:
        if step == "hold":
            with pytest.raises(Busy, match="advance payments .* by ada, at step hold"):
                engine.hold("payments", 1, who="bob")

    monkeypatch.setattr(faultpoints, "reach", reach)
    assert engine.advance("payments", **WHO).outcome == "done"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: engine.advance("nothing", **WHO), "there is no context 'nothing'"),
        (lambda: engine.advance("orders", **WHO), "orders has no service to move to"),
        (lambda: engine.advance("payments", to="alive", **WHO), "there is no stage 'alive'"),
        (lambda: engine.advance("payments", to="live", percent=5, **WHO), "--percent belongs to canary"),
        (lambda: engine.advance("payments", percent=0, **WHO), "1…100"),
        (lambda: engine.advance("payments", to="monolith", **WHO), "is monolith already"),
        (lambda: engine.rollback("payments", **WHO), "the first stage"),
        (lambda: engine.hold("payments", 0, who="ada"), "at most 60 seconds"),
    ],
)
def test_misuse_says_what_would_be_right(estate: SmallEstate, call, message: str) -> None:
    with pytest.raises(Misuse, match=message):
        call()
    assert Operation.objects.count() == 0
