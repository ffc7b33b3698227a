"""Break-glass: from a dead service to the monolith, by a typed phrase; what it had acknowledged is kept for a person."""

from __future__ import annotations

import json
import re
import time
from functools import partial

import pytest
from django.utils import timezone

from monolith.payments.models import Payment
from strangler.control import breakglass, engine, faultpoints, reconcile
from strangler.control.errors import Busy, GatesClosed
from strangler.control.ledger import open_operation
from strangler.control.models import Migration, Operation, Receipt
from strangler.domain.envelope import Event, Op, Version, to_dict
from strangler.domain.gates import State
from strangler.errors import Misuse, StranglerError
from strangler.management import cli
from strangler.sync import broken, collections, databases, ownership, reverse, sequences, stranded, streams
from strangler.sync.database import snapshot
from strangler.sync.models import Quarantine, Stranded, Stranding, Stream
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.test_engine import WHO, Killed, assert_settled, expire, kill_at, stage
from tests.integration.control.test_served import tell
from tests.integration.seams.shop import make_order, make_payment

STEPS = ("gates", "hold", "break", "flip", "settle")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakglass, "BETWEEN_LOOKS_S", 0.01)
    monkeypatch.setattr(stranded, "EVERY_S", 0.0)


@pytest.fixture
def dead(live: SmallEstate) -> SmallEstate:
    live.service.die()
    return live


def break_glass(confirm: str = "payments 2") -> Receipt:
    return engine.break_glass("payments", confirm=confirm, who="ada", why="the disk is gone")


def revive(estate: SmallEstate) -> None:
    estate.service.before = lambda *_: None


def row_of(payment: Payment) -> dict:
    with snapshot() as cursor:
        known = collections.for_context("payments")
        (collection,) = [one for one in known if one.name == "payments.Payment"]
        where = f"WHERE {collection.key_matches('t')}"
        ((_, text, _),) = databases.of(cursor.db).rows_in(cursor, collection, where, [collection.keys_param([str(payment.pk)])])
    return json.loads(text)


def event(key: int | str, data: dict | None, op: Op = Op.UPSERT, position: int = 1) -> dict:
    made = Event("payments", op, "payments.Payment", str(key), Version(2, 0, position), data, time="2026-11-26T09:00:00.000001Z")
    return to_dict(made)


# ---- when ---------------------------------------------------------------------------------------------------------


def test_p22_a_service_that_answers_is_refused_break_glass_with_the_ordinary_command(live: SmallEstate) -> None:
    before = (ownership.get("payments"), Receipt.objects.count())
    with pytest.raises(GatesClosed, match="ready at http.* loses nothing is: strangler rollback payments"):
        break_glass()
    assert (ownership.get("payments"), Receipt.objects.count()) == before


def test_p22_a_service_that_answers_at_one_of_its_looks_is_alive(live: SmallEstate) -> None:
    looks = []

    def flaky(method: str, path: str) -> None:
        looks.append(path)
        if len(looks) <= 3:  # a call is tried twice where the connection breaks
            raise live.service.Gone

    live.service.before = flaky
    with pytest.raises(GatesClosed, match="the service is ready at"):
        break_glass()


@pytest.mark.parametrize("phrase", ["", "payments", "payments 1", "orders 2", "yes"])
def test_p22_another_phrase_does_nothing(dead: SmallEstate, phrase: str) -> None:
    before = Receipt.objects.count()
    with pytest.raises(Misuse, match='--confirm "payments 2"'):
        break_glass(phrase)
    assert (Receipt.objects.count(), ownership.get("payments").owner) == (before, "service")


def test_break_glass_where_the_monolith_owns_points_to_the_ordinary_way(canary: SmallEstate) -> None:
    canary.service.die()
    with pytest.raises(Misuse, match="the monolith owns payments, .* the way back is: strangler rollback payments"):
        break_glass()


def test_break_glass_where_nothing_follows_any_more_is_refused(live: SmallEstate) -> None:
    engine.advance("payments", to="retired", **WHO)
    live.service.die()
    with pytest.raises(Misuse, match="payments is retired: the monolith's tables have not followed since"):
        break_glass()


# ---- what it does -------------------------------------------------------------------------------------------------


def test_p22_break_glass_makes_the_monolith_own_above_every_epoch_and_says_what_may_be_lost(live: SmallEstate) -> None:
    reverse.run("payments-reverse")
    live.service.die()
    Quarantine.objects.create(stream="payments-reverse", collection="payments.Payment", key="9", error="no")
    before = sequences.next_ids("payments")
    receipt = break_glass()
    assert (receipt.outcome, receipt.verb, receipt.to_stage, receipt.why) == ("done", "break-glass", "mirror", "the disk is gone")
    here = ownership.get("payments")
    assert here.owner == "monolith"
    assert here.epoch >= 4
    assert stage() == "mirror"
    assert (streams.state("payments"), streams.state("payments-reverse")) == ("broken", "off")
    assert Stream.objects.get(name="payments").reason.startswith("given up, so that the monolith goes on: its dead service")
    verdicts = {verdict["gate"]: verdict for verdict in receipt.verdicts}
    assert verdicts["dead"]["state"] == "pass"
    said = verdicts["loss"]["reason"]
    assert re.search(r"reached marker \d+ \(position \d+ of the feed\); its last round was at 20\d\d-.* s ago", said), said
    assert "at least 1 rows, how many more is not known" in said
    after = sequences.next_ids("payments")
    assert {name: after[name] - before[name] for name in before} == dict.fromkeys(before, breakglass.ROOM)
    table = live.proxy.table["contexts"]["payments"]
    assert (table["owner"], table["epoch"], table["hold"]) == ("monolith", here.epoch, None)
    assert make_payment(make_order()).pk  # the monolith's fence lets it write again


def test_p22_no_proxy_sends_the_dead_service_a_write_once_the_monolith_owns(dead: SmallEstate, monkeypatch) -> None:
    change, held = ownership.change, []

    def seen(*args, **kwargs):
        held.append(dead.proxy.table["contexts"]["payments"]["hold"])
        return change(*args, **kwargs)

    monkeypatch.setattr(ownership, "change", seen)
    break_glass()
    assert len(held) == 1
    assert held[0]


def test_a_proxy_that_is_deaf_does_not_keep_the_glass_from_breaking(dead: SmallEstate, monkeypatch) -> None:
    """It is told by the table; until it takes that it can only send to the dead."""
    monkeypatch.setattr(breakglass, "HOLD_S", 0.1)
    dead.proxy.busy = True
    assert break_glass().outcome == "done"
    assert "did not acknowledge" in Operation.objects.get(verb="break-glass").data["hold_error"]


@pytest.mark.parametrize("step", STEPS)
def test_step_killed_in_a_break_glass_is_undone_before_it_breaks_and_finished_after(dead: SmallEstate, monkeypatch, step) -> None:
    kill_at(monkeypatch, step)
    with pytest.raises(Killed):
        break_glass()
    monkeypatch.undo()
    expire()
    receipt = engine.resume()
    broke = step in ("flip", "settle")
    assert receipt.outcome == ("done" if broke else "refused" if step == "gates" else "undone")
    assert ownership.get("payments").owner == ("monolith" if broke else "service")
    assert stage() == ("mirror" if broke else "live")
    assert dead.proxy.table["contexts"]["payments"]["hold"] is None
    assert Stranding.objects.count() == broke


def test_a_service_that_comes_back_while_writes_are_parked_keeps_the_context(dead: SmallEstate, monkeypatch) -> None:
    monkeypatch.setattr(faultpoints, "reach", lambda step: revive(dead) if step == "hold" else None)
    with pytest.raises(StranglerError, match="was undone, .* the service is ready at"):
        break_glass()
    assert_settled(dead, "service")
    assert stage() == "live"


def test_how_the_service_answered_as_it_died_is_not_held_against_it_when_it_comes_back(dead: SmallEstate) -> None:
    tell(dead.redis, service=300, failed=300, monolith=300, at=time.time() - 120)
    workshop = engine.Workshop(engine.context_named("payments"))
    try:
        judge = partial(workshop.observer._shown, "errors", workshop.observer.errors)
        assert judge().state is State.FAIL
        break_glass()
        assert judge().state is not State.FAIL
    finally:
        workshop.close()


# ---- an operation that waits for the dead -------------------------------------------------------------------------


def test_p22_break_glass_ends_a_rollback_that_waits_for_the_dead_and_its_late_word_is_old(live: SmallEstate, monkeypatch) -> None:
    """The service was fenced and died: only its word would undo the rollback. A word of that undo arrives after all."""
    kill_at(monkeypatch, "undo-owner")
    live.service.after = lambda method, path: live.service.die() if method == "PUT" else None
    with pytest.raises(Killed):
        engine.rollback("payments", **WHO)
    monkeypatch.undo()
    monkeypatch.setattr(breakglass, "BETWEEN_LOOKS_S", 0.01)
    waiting = open_operation()
    assert (waiting.step, waiting.undoing, live.service.row["owner"]) == ("undo-owner", True, "none")

    receipt = break_glass()
    assert receipt.outcome == "done"
    old = Receipt.objects.get(operation=waiting.id)
    assert (old.outcome, old.error) == ("superseded", "break-glass by ada: it waited for the word of a dead service")
    late = {"context": "payments", "epoch": int(waiting.data["epoch"]) + 2, "owner": "service", "operation": str(waiting.id)}
    live.service.row = late
    assert ownership.get("payments").epoch > late["epoch"]
    revive(live)
    live.service.after = lambda *_: None
    assert stranded.collect() == ["payments"]
    assert_settled(live, "monolith")


def test_p22_break_glass_ends_a_cut_over_whose_taker_died_before_it_heard_of_it(canary: SmallEstate, monkeypatch) -> None:
    kill_at(monkeypatch, "confirm")
    with pytest.raises(Killed):
        engine.advance("payments", **WHO)
    monkeypatch.undo()
    monkeypatch.setattr(breakglass, "BETWEEN_LOOKS_S", 0.01)
    canary.service.die()
    assert ownership.get("payments").owner == "service"
    assert break_glass().outcome == "done"
    assert ownership.get("payments").owner == "monolith"
    assert stage() == "mirror"
    assert open_operation() is None


@pytest.mark.parametrize("back_at", ["gates", "hold"])
def test_p22_a_rollback_that_was_put_off_goes_on_when_the_service_lives_after_all(
    live: SmallEstate, monkeypatch, back_at: str
) -> None:
    """The service was fenced: without the rollback's undo nobody would own."""
    kill_at(monkeypatch, "undo-owner")
    live.service.after = lambda method, path: live.service.die() if method == "PUT" else None
    with pytest.raises(Killed):
        engine.rollback("payments", **WHO)
    monkeypatch.undo()
    monkeypatch.setattr(breakglass, "BETWEEN_LOOKS_S", 0.01)
    live.service.after = lambda *_: None
    monkeypatch.setattr(faultpoints, "reach", lambda step: revive(live) if step == back_at else None)
    with pytest.raises(StranglerError, match="the service is ready at"):
        break_glass()
    assert live.service.row["owner"] == "none"
    with pytest.raises(Busy, match="undoing, at step undo-owner"):
        reconcile.reconcile("payments", who="ada")
    assert engine.resume().outcome == "undone"
    assert_settled(live, "service")
    assert stage() == "live"


def test_p22_a_cut_over_that_was_put_off_goes_through_when_the_service_lives_after_all(canary: SmallEstate, monkeypatch) -> None:
    """It was past its point of no return: the service may have heard that it owns, and acknowledged writes."""
    kill_at(monkeypatch, "confirm")
    with pytest.raises(Killed):
        engine.advance("payments", **WHO)
    monkeypatch.undo()
    monkeypatch.setattr(breakglass, "BETWEEN_LOOKS_S", 0.01)
    canary.service.die()
    kill_at(monkeypatch, "break")
    with pytest.raises(Killed):
        break_glass()
    monkeypatch.undo()
    revive(canary)
    expire()
    assert engine.resume().verb == "break-glass"
    assert engine.resume().outcome == "done"
    assert_settled(canary, "service")
    assert stage() == "live"


def test_any_other_operation_is_left_alone(dead: SmallEstate, monkeypatch) -> None:
    kill_at(monkeypatch, "keep")
    with pytest.raises(Killed):
        engine.hold("payments", 5, who="bob")
    with pytest.raises(Busy, match="another operation runs in this estate: hold payments"):
        break_glass()


# ---- when it comes back -------------------------------------------------------------------------------------------


def test_p22_what_the_dead_service_had_acknowledged_is_kept_for_a_person_and_applied_by_nobody(dead, capsys) -> None:
    Stream.objects.filter(name="payments-reverse").update(cursor=1)  # one of them was fetched before it died
    break_glass()
    here = make_payment(make_order())
    changed = {**row_of(here), "state": "refunded"}
    dead.service.feed = [
        event(1, {"id": 1}, position=1),
        event(here.pk, changed, position=2),
        event(999, {**changed, "id": 999}, position=3),
        event(998, None, Op.DELETE, position=4),
    ]
    assert stranded.collect() == []  # it is dead still
    assert "does not answer" in stranded.pending("payments")[0].error
    assert cli.run(["sync", "stranded", "payments"]) == 1
    assert "not collected yet" in capsys.readouterr().out
    with pytest.raises(StranglerError, match="is not collected yet .* would be overwritten"):
        broken.come_back("payments")

    revive(dead)
    assert stranded.collect() == ["payments"]
    said = dead.service.row
    assert (said["owner"], said["epoch"]) == ("monolith", ownership.get("payments").epoch)
    assert list(Payment.objects.values_list("pk", flat=True)) == [here.pk]
    assert not Payment.objects.filter(state="refunded").exists()
    code = cli.run(["sync", "stranded", "payments", "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert (code, listed["collected"]) == (1, True)
    assert [(one["key"], one["op"], one["here"]) for one in listed["changes"]] == [
        (str(here.pk), "upsert", "another state"),
        ("999", "upsert", "no such row"),
        ("998", "delete", "no such row, as there"),
    ]
    assert listed["changes"][0]["row"]["state"] == "refunded"
    assert "3 changes that the dead service acknowledged are applied nowhere" in alarm(capsys)
    assert broken.come_back("payments")  # what is here can be overwritten there
    assert Stream.objects.get(name="payments-reverse").cursor == 4


def alarm(capsys: pytest.CaptureFixture) -> str:
    cli.run(["status", "payments"])
    return " ".join(capsys.readouterr().out.split())


def test_p22_writes_that_came_in_until_the_service_was_told_are_collected_too(dead: SmallEstate) -> None:
    break_glass()
    revive(dead)
    dead.service.feed = [event(1, {"id": 1})]

    def write_once_more(method: str, path: str) -> None:
        if method == "PUT":
            dead.service.feed.append(event(2, {"id": 2}, position=2))

    dead.service.after = write_once_more
    assert stranded.collect() == ["payments"]
    assert list(Stranded.objects.values_list("key", flat=True)) == ["1", "2"]


def test_p22_two_that_collect_at_once_keep_each_change_once_and_as_it_was_last(dead: SmallEstate, monkeypatch) -> None:
    """One has read a page and sleeps; meanwhile the service writes again, is told, and another collects everything."""
    break_glass()
    revive(dead)
    dead.service.feed = [event(number, {"id": number}, position=number) for number in (1, 2, 3)]
    keep, inside = stranded._keep, []

    def overtaken(*args):
        if not inside:
            inside.append(True)
            dead.service.feed[0] = event(1, {"id": 1, "state": "later"})
            stranded.collect()
        keep(*args)

    monkeypatch.setattr(stranded, "_keep", overtaken)
    stranded.collect()
    assert Stranded.objects.count() == 3
    assert Stranded.objects.get(key="1").row["state"] == "later"
    assert not stranded.pending("payments")


def test_p22_no_reconcile_tells_the_service_before_what_it_had_acknowledged_is_here(dead: SmallEstate) -> None:
    """Told by anybody else its feed forgets what it has lost, and at that epoch the collector's own word is refused for ever."""
    break_glass()
    revive(dead)
    dead.service.feed = [event(1, {"id": 1})]
    with pytest.raises(StranglerError, match="is not collected yet"):
        reconcile.reconcile("payments", who="ada")
    assert stranded.collect() == ["payments"]
    assert_settled(dead, "monolith")


def test_p22_an_undo_that_is_owed_is_not_told_before_what_it_had_acknowledged_is_here(dead: SmallEstate) -> None:
    break_glass()
    Operation.objects.update(data={"owed": True})
    told = dict(dead.service.row)
    revive(dead)
    assert reconcile.tell_owed() == []
    assert dead.service.row == told
    assert stranded.collect() == ["payments"]
    assert reconcile.tell_owed() == ["payments"], "and then it is settled"
    assert_settled(dead, "monolith")


def test_p22_a_break_glass_never_starts_from_a_stage_that_was_left_meanwhile(dead: SmallEstate, monkeypatch) -> None:
    """Retired while the service was looked at: the monolith's tables follow no more, at the same epoch."""
    look_dead = breakglass.look_dead

    def overtaken(*args, **kwargs):
        Migration.objects.filter(context="payments").update(stage="retired")
        return look_dead(*args, **kwargs)

    monkeypatch.setattr(breakglass, "look_dead", overtaken)
    with pytest.raises(Busy, match="payments was moved by somebody else just now"):
        break_glass()
    assert (stage(), ownership.get("payments").owner, open_operation()) == ("retired", "service", None)


def test_what_the_feed_itself_has_lost_is_said(dead: SmallEstate) -> None:
    break_glass()
    revive(dead)
    answer = dead.service.answer

    def over_budget(method: str, path: str, body: bytes, after: int = 0):
        if (method, path) == ("GET", "/_strangler/changes"):
            return 410, {"title": "Gone", "detail": "the feed was over its budget", "floor": 7}
        return answer(method, path, body, after)

    dead.service.answer = over_budget
    assert stranded.collect() == ["payments"]
    assert dead.service.row["owner"] == "monolith"
    assert "the service's feed has lost changes of its own" in stranded.losses("payments")[0]


def test_keys_in_quarantine_are_asked_for_again(dead: SmallEstate) -> None:
    Quarantine.objects.create(stream="payments-reverse", collection="payments.Payment", key="9", error="no")
    break_glass()
    revive(dead)
    noted, answer = [], dead.service.answer

    def notes(method: str, path: str, body: bytes, after: int = 0):
        if (method, path) == ("POST", "/_strangler/notes"):
            noted.append(json.loads(body))
            dead.service.feed.append(event(9, {"id": 9}))
            return 200, {"noted": 1}
        return answer(method, path, body, after)

    dead.service.answer = notes
    assert stranded.collect() == ["payments"]
    assert noted == [{"collection": "payments.Payment", "keys": ["9"]}]
    assert Stranded.objects.get().key == "9"


def test_a_person_settles_what_was_stranded_with_a_reason_and_a_receipt(dead: SmallEstate, capsys) -> None:
    break_glass()
    revive(dead)
    dead.service.feed = [event(number, {"id": number}, position=number) for number in (1, 2)]
    stranded.collect()
    assert cli.run(["sync", "stranded", "payments", "--settle", "payments.Payment/1"]) == 2
    assert cli.run(["sync", "stranded", "payments", "--settle", "payments.Payment/7", "--reason", "x"]) == 2
    assert cli.run(["sync", "stranded", "payments", "--settle", "payments.Payment/1", "--reason", "paid by hand"]) == 0
    receipt = Receipt.objects.latest("id")
    assert (receipt.verb, receipt.why, receipt.verdicts[0]["observed"]) == ("settle", "paid by hand", "payments.Payment/1")
    assert stranded.waiting("payments") == 1
    assert cli.run(["sync", "stranded", "payments", "--settle-all", "--reason", "the same"]) == 0
    capsys.readouterr()
    assert cli.run(["sync", "stranded", "payments"]) == 0
    assert "no write of a dead service of payments waits" in capsys.readouterr().out


def test_a_service_that_never_comes_back_is_given_up_by_a_person(dead: SmallEstate, capsys) -> None:
    break_glass()
    assert cli.run(["sync", "stranded", "payments", "--abandon", "--reason", "its disk is dust"]) == 0
    assert Receipt.objects.latest("id").verb == "abandon"
    assert not stranded.pending("payments")
    assert cli.run(["sync", "stranded", "payments", "--abandon", "--reason", "again"]) == 2
    capsys.readouterr()
    assert cli.run(["sync", "stranded", "payments"]) == 0
    assert "given up: the service did not come back" in capsys.readouterr().out


def test_p22_nothing_is_mirrored_over_what_was_not_collected_and_no_cut_over_passes_what_nobody_looked_at(dead, capsys) -> None:
    break_glass()
    engine.rollback("payments", to="monolith", **WHO)
    revive(dead)
    with pytest.raises(GatesClosed, match="stranded: what the dead service acknowledged last would be overwritten"):
        engine.advance("payments", **WHO)
    dead.service.feed = [event(1, {"id": 1})]
    assert stranded.collect() == ["payments"]
    engine.advance("payments", to="canary", percent=100, **WHO)
    with pytest.raises(GatesClosed, match="stranded: 1 changes that the dead service acknowledged wait for a person"):
        engine.advance("payments", **WHO)
    assert cli.run(["sync", "stranded", "payments", "--settle-all", "--reason", "seen"]) == 0
    assert engine.advance("payments", **WHO).outcome == "done"
    assert (ownership.get("payments").owner, dead.service.row["owner"]) == ("service", "service")


# ---- the command --------------------------------------------------------------------------------------------------


def test_the_command_says_what_may_be_lost_before_it_asks(dead: SmallEstate, capsys) -> None:
    words = ["rollback", "payments", "--force-dead-service"]
    assert cli.run(words) == 2
    said = capsys.readouterr().err
    assert "break-glass may lose writes: the reverse mirror reached marker" in said
    assert '--confirm "payments 2"' in said
    assert cli.run([*words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert 'to go on: strangler rollback payments --force-dead-service --confirm "payments 2"' in out
    assert ownership.get("payments").owner == "service"
    assert cli.run([*words, "--to", "monolith", "--confirm", "payments 2"]) == 2
    assert cli.run([*words, "--confirm", "payments 2", "--json"]) == 0
    (receipt,) = json.loads(capsys.readouterr().out.partition("\n{")[0] or "{}").get("receipts", [None])
    assert receipt["verb"] == "break-glass"


def test_the_command_refuses_a_live_service_and_the_dry_run_says_so(live: SmallEstate, capsys) -> None:
    assert cli.run(["rollback", "payments", "--force-dead-service", "--dry-run"]) == 1
    assert cli.run(["rollback", "payments", "--force-dead-service", "--confirm", "payments 2"]) == 1
    assert "the way back that loses nothing is: strangler rollback payments" in capsys.readouterr().err


def test_status_of_a_dead_owner_says_how_to_go_on_without_it(dead: SmallEstate, capsys) -> None:
    out = alarm(capsys)
    assert "safe to roll back now: no, because" in out
    assert "strangler rollback payments --force-dead-service --dry-run" in out


def test_a_clock_that_jumped_does_not_keep_the_tick_from_asking(dead: SmallEstate) -> None:
    break_glass()
    revive(dead)
    Stranding.objects.update(tried_at=timezone.now() + timezone.timedelta(days=1))
    assert stranded.collect() == ["payments"]
    assert reconcile.tell_owed() == []
