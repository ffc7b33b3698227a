"""Writes that are recorded on the monolith and rehearsed against the real lifted service, of which nothing stays."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import requests
from django.db import connection
from psycopg import sql

from monolith.payments.models import Payment, Refund
from strangler import conf
from strangler.control import write_rehearsal as rehearsal
from strangler.domain import tokens, wire
from strangler.errors import StranglerError
from strangler.management import cli
from strangler.seams import recording
from strangler.sync import relay
from strangler.sync.client import ServiceClient
from strangler.sync.recording import store
from strangler.sync.recording.models import Effect, RecordedWrite

from .lifted import Service, beside_the_monolith, move, until
from .shop import client_of, make_order, make_payment, make_user, pay
from .wild import views as wild

CHANGING = {"strangler_round", "strangler_stream", "django_session", "strangler_sample"}


@pytest.fixture
def there(lifted: Service, transactional_db: None, settings: Any) -> Iterator[Service]:
    recording._known = (0.0, {})
    with beside_the_monolith(lifted, settings) as service:
        yield service
        store.stop("payments", forget=True)
    recording._known = (0.0, {})


def everything(service: Service) -> dict[str, str]:
    """Every table of the service's database, row by row."""
    with service.connect() as session:
        tables = session.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        return {
            name: session.execute(
                sql.SQL("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {} t").format(
                    sql.Identifier(name)
                )
            ).fetchone()[0]  # type: ignore[index]
            for (name,) in tables.fetchall()
            if name not in CHANGING
        }


def mirrored_payment(**fields: Any) -> Payment:
    payment = make_payment(make_order(make_user()), **fields)
    relay.run("payments")
    relay.run("payments-copies")
    return payment


def ask(service: Service, path: str, body: dict, *, user: str = "", before: tuple = (), **claims: Any) -> requests.Response:
    token = tokens.issue(conf.service_secret(), audience="payments", now=time.time(), **(claims or {"rehearse": True}))
    envelope = {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content_type": "application/json",
        "user": user,
        "before": list(before),
    }
    return requests.post(service.url + path, json=envelope, headers={"X-Strangler-Rehearse": token}, timeout=20)


def answer_of(response: requests.Response) -> Any:
    said = response.json()
    return json.loads(base64.b64decode(said["body"]))


# ---- nothing stays -------------------------------------------------------------------------------------------------

SAID = {
    "writes": "written",
    "rolls_back": "",
    "fails_in_autocommit": "after the failure",
    "durable": "durable",
    "commits": "committed by hand",
    "closes": "after it closed",
    "hooks": "with a hook",
    "calls": "called",
}


def test_p26_nothing_of_a_rehearsal_stays(there: Service) -> None:
    """Whatever the handler does: row by row the service is as it was, and the handler behaves as for real."""
    payment = mirrored_payment(reason="")
    before = everything(there)
    answers = {}
    for name in wild.ALL:
        if name != "waits":
            answers[name] = ask(there, f"/api/payments/wild/{name}", {"payment": payment.pk})
            assert everything(there) == before, name
    driver = answers.pop("commits_by_the_driver")
    assert (driver.status_code, "ended the transaction by itself" in driver.json()["detail"]) == (422, True)
    said = {name: answer.json() for name, answer in answers.items()}
    for name, word in SAID.items():
        assert answer_of(answers[name]) == {"did": name, "said": word}
        wrote = [effect["after"]["reason"] for effect in said[name]["effects"]]
        assert wrote == ([word] if name not in ("calls", "rolls_back") else []), name
    failed = said["raises"]
    assert (failed["status"], [one["after"]["reason"] for one in failed["effects"]]) == (500, ["written before it failed"])
    assert said["says_commit"]["status"] == 500
    assert said["hooks"]["held_back"]["on_commit"] == 2
    held = said["tells"]["held_back"]
    assert (held["mail"], held["task"], held["session"], held["cache"]) == (1, 1, 1, 1)
    assert answer_of(answers["tells"])["said"] == payment.pk  # it reads its own write of the cache
    assert said["calls"]["calls"] == ["127.0.0.1:9"]


def test_killed_in_the_middle_nothing_stays(there: Service) -> None:
    payment = mirrored_payment(reason="")
    before = everything(there)
    with there.connect() as blocker:
        blocker.execute("SELECT pg_advisory_lock(4711)")
        failed: list[Exception] = []

        def rehearse() -> None:
            try:
                ask(there, "/api/payments/wild/waits", {"payment": payment.pk})
            except requests.RequestException as error:
                failed.append(error)

        thread = threading.Thread(target=rehearse)
        thread.start()
        until(lambda: there.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), "it waits half done")
        assert there.process is not None
        os.killpg(there.process.pid, signal.SIGKILL)
        there.process.wait()
        there.process = None
        thread.join(20)
        assert failed
    until(lambda: everything(there) == before, "its transaction is gone")


def test_what_is_mirrored_meanwhile_goes_first(there: Service) -> None:
    """A rehearsal holds a row that a batch wants. The batch is applied within the rehearsal's limits, and nothing is lost."""
    payment = mirrored_payment(reason="")
    with there.connect() as blocker:
        blocker.execute("SELECT pg_advisory_lock(4711)")
        answers: list[requests.Response] = []
        body = {"payment": payment.pk}
        thread = threading.Thread(target=lambda: answers.append(ask(there, "/api/payments/wild/waits", body)))
        thread.start()
        until(lambda: there.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), "it waits half done")
        Payment.objects.filter(pk=payment.pk).update(reason="mirrored")
        applied = threading.Thread(target=_relay)
        applied.start()
        until(lambda: there.rows("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"), "the batch waits")
        blocker.execute("SELECT pg_advisory_unlock(4711)")
        applied.join(30)
        thread.join(30)
    assert there.rows("SELECT reason FROM payments_payment") == [("mirrored",)]
    assert answer_of(answers[0])["said"] == "half done"


def _relay() -> None:
    from django.db import connections

    try:
        relay.run("payments")
    finally:
        connections.close_all()


def test_a_hand_over_does_not_wait_for_a_rehearsal(there: Service) -> None:
    payment = mirrored_payment(reason="")
    with there.connect() as blocker:
        blocker.execute("SELECT pg_advisory_lock(4711)")
        thread = threading.Thread(target=lambda: ask(there, "/api/payments/wild/waits", {"payment": payment.pk}))
        thread.start()
        until(lambda: there.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), "it waits half done")
        move(there)
        blocker.execute("SELECT pg_advisory_unlock(4711)")
        thread.join(20)
    assert there.rows("SELECT reason FROM payments_payment") == [("",)]


def test_p15_a_transaction_that_claims_to_be_a_rehearsal_never_commits(there: Service) -> None:
    """By hand, past all of our code: the origin lets it through the fence, and the outbox refuses the commit."""
    mirrored_payment(reason="")
    with there.connect() as session:
        session.autocommit = False
        session.execute("SELECT set_config('strangler.origin', 'rehearsal:by hand', true)")
        session.execute("UPDATE payments_payment SET reason = 'forged'")
        with pytest.raises(psycopg.DatabaseError, match="a rehearsal never commits"):
            session.commit()
    assert there.rows("SELECT reason FROM payments_payment") == [("",)]


# ---- who may -------------------------------------------------------------------------------------------------------


def test_only_a_token_for_a_rehearsal_is_good(there: Service) -> None:
    payment = mirrored_payment(reason="")
    body, path = {"payment": payment.pk}, "/api/payments/wild/writes"
    for claims in ({"act": 1}, {"sub": "1"}, {"rehearse": "yes"}):
        assert ask(there, path, body, **claims).status_code == 401
    forged = {"X-Strangler-Rehearse": tokens.issue("another", audience="payments", now=time.time(), rehearse=True)}
    assert requests.post(there.url + path, json={}, headers=forged, timeout=5).status_code == 401
    good = {"X-Strangler-Rehearse": tokens.issue(conf.service_secret(), audience="payments", now=time.time(), rehearse=True)}
    assert requests.post(there.url + path, json={"body": 1}, headers=good, timeout=5).status_code == 400
    assert ask(there, "/api/orders/", body).status_code == 421


def test_the_owner_rehearses_nothing(there: Service) -> None:
    payment = mirrored_payment(reason="")
    move(there)
    assert ask(there, "/api/payments/wild/writes", {"payment": payment.pk}).status_code == 409
    assert there.rows("SELECT reason FROM payments_payment") == [("",)]


# ---- recorded on the monolith, rehearsed there -----------------------------------------------------------------------


@pytest.fixture
def recorded(there: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Everything that is written is recorded from now on."""
    store.start("payments", share=1.0, lasting=rehearsal.lasting("10m"), who="ada")
    recording.learn(["payments 1"])
    return lambda: RecordedWrite.objects.order_by("id")


def ask_cli(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, dict]:
    code = cli.run([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_recorded_write_is_the_same_there_whether_mirrored_or_not(there: Service, recorded, capsys, mirrored: bool) -> None:
    """A charge (rows made, ids drawn) and a refund of it (rows changed), by a session; ids and clocks are no difference."""
    user = make_user()
    client, order = client_of(user), make_order(user)
    charged = pay(client, order)
    assert charged.status_code == 201
    number = charged.json()["id"]
    refunded = client.post(f"/api/payments/{number}/refund/", {}, content_type="application/json")
    assert refunded.status_code == 200
    relay.run("payments-copies")
    if mirrored:
        relay.run("payments")
    charge, refund = recorded()
    kinds = [(effect["collection"], effect["kind"]) for effect in wire.loads(charge.effects)]
    assert ("payments.Payment", "insert") in kinds
    assert ("payments.IdempotencyKey", "insert") in kinds
    assert [
        (e["kind"], e["before"]["state"], e["after"]["state"]) for e in wire.loads(refund.effects) if "Payment" in e["collection"]
    ]
    before = everything(there)
    code, said = ask_cli(capsys, "rehearsal", "run", "payments")
    assert [one["differences"] for one in said["writes"]] == [[], []], said
    assert (code, said["rehearsed"], said["same"]) == (0, 2, 2)
    assert everything(there) == before
    assert ServiceClient("payments").ownership()["owner"] == "monolith"


def test_a_difference_is_named_by_endpoint_and_field(there: Service, recorded, capsys) -> None:
    user = make_user()
    client, order = client_of(user), make_order(user)
    assert pay(client, order).status_code == 201
    relay.run("payments-copies")
    write = recorded().get()
    effects = wire.loads(write.effects)
    payment = next(effect for effect in effects if effect["collection"] == "payments.Payment")
    payment["after"]["currency"] = "USD"
    write.effects = wire.dumps(effects)
    write.answer = bytes(write.answer).replace(b'"EUR"', b'"USD"')
    write.save()
    code, said = ask_cli(capsys, "rehearsal", "run", "payments")
    assert code == 1
    fields = {one["field"]: (one["old"], one["new"]) for one in said["writes"][0]["differences"]}
    assert fields["row payments.Payment.currency"] == ("USD", "EUR")
    assert "body $.currency" in fields
    assert said["writes"][0]["endpoint"] == "POST /api/payments/"


def test_a_write_that_is_rolled_back_has_no_effects_and_one_refused_is_compared_too(there: Service, recorded, capsys) -> None:
    user = make_user()
    client, order = client_of(user), make_order(user)
    relay.run("payments-copies")
    refused = client.post("/api/payments/999999/refund/", {}, content_type="application/json")
    assert refused.status_code == 404
    invalid = client.post(
        "/api/payments/", {"order": order.pk}, content_type="application/json", headers={"Idempotency-Key": "k"}
    )
    assert invalid.status_code == 400
    assert [write.effects for write in recorded()] == ["[]", "[]"]
    assert ask_cli(capsys, "rehearsal", "run", "payments")[0] == 0


def test_nothing_secret_is_kept(there: Service, recorded) -> None:
    user = make_user()
    client, order = client_of(user), make_order(user)
    pay(client, order, **{"Authorization": f"Token {uuid4().hex}", "X-Api-Key": "k", "Accept-Language": "pl"})
    pay(client, order, **{"Accept-Language": "pl"})
    for body in ({"password": "x"}, {"a": [{"card": "1"}]}, {"note": "4111 1111 1111 1111"}):
        client.post("/api/payments/", body, content_type="application/json")
    client.post("/api/payments/?token=x", {}, content_type="application/json")
    client.post("/api/payments/", {"file": "x" * 70_000}, content_type="application/json")
    client.post("/api/payments/", {"a": "b"})  # multipart
    for write in recorded():
        assert {name.lower() for name in write.headers} <= {"accept-language", "idempotency-key", "accept"}
        assert write.user in ("", str(user.pk))
    assert len(recorded()) == 2


def test_only_while_it_is_switched_on_and_no_more_than_a_few(there: Service, monkeypatch, capsys) -> None:
    user = make_user()
    client = client_of(user)
    pay(client, make_order(user))
    assert RecordedWrite.objects.count() == 0
    monkeypatch.setattr(store, "MOST_ROWS", 2)
    code, said = ask_cli(capsys, "rehearsal", "record", "payments", "--for", "10m")
    assert (code, said["share"]) == (0, 1.0)
    pay(client, make_order(user))  # this process learns of it
    for _ in range(4):
        assert pay(client, make_order(user)).status_code == 201
    assert (RecordedWrite.objects.count(), Effect.objects.count()) == (2, 0)
    assert len(ask_cli(capsys, "rehearsal", "list", "payments")[1]["writes"]) == 2
    assert ask_cli(capsys, "rehearsal", "stop", "payments", "--forget")[1]["kept"] == 0
    pay(client, make_order(user))
    pay(client, make_order(user))
    assert RecordedWrite.objects.count() == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_proc WHERE starts_with(proname, 'strangler_effect_')")
        assert cursor.fetchone() == (0,)
    code, said = ask_cli(capsys, "rehearsal", "run", "payments")
    assert (code, said["error"]) == (
        2,
        "no write of payments is recorded; begin with: strangler rehearsal record payments --for 10m",
    )


def test_a_recording_ends_by_itself(there: Service, recorded) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_recording SET until = now() - interval '1 second'")
    assert store.end_overdue() == ["payments"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_proc WHERE starts_with(proname, 'strangler_effect_')")
        assert cursor.fetchone() == (0,)


def test_a_recording_on_a_table_that_is_busy_ends_as_soon_as_it_is_free_and_the_tick_does_not_wait(there, recorded) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_recording SET until = now() - interval '1 second'")
    busy = connection.copy()
    try:
        busy.set_autocommit(False)
        with busy.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM payments_payment")  # a long report
        with pytest.raises(StranglerError, match="another transaction kept its lock for 0 s"):
            store.end_overdue()
    finally:
        busy.close()
    assert store.end_overdue() == ["payments"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_proc WHERE starts_with(proname, 'strangler_effect_')")
        assert cursor.fetchone() == (0,)


def test_effects_are_net_and_see_every_way_to_write(there: Service, recorded) -> None:
    """In one write: a row changed twice, one made and deleted again, one changed and changed back, one by raw SQL."""
    from strangler.seams.recording import _Saying
    from strangler.sync.recording import effects

    payments = [make_payment(make_order(make_user()), reason="") for _ in range(3)]
    write = str(uuid4())
    with connection.execute_wrapper(_Saying(effects.setting("payments", write))):
        Payment.objects.filter(pk=payments[0].pk).update(reason="once")
        Payment.objects.filter(pk=payments[0].pk).update(reason="twice")
        made = make_payment(make_order(make_user()))
        made.delete()
        Payment.objects.filter(pk=payments[1].pk).update(reason="x")
        Payment.objects.filter(pk=payments[1].pk).update(reason="")
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM payments_payment WHERE id = %s", [payments[2].pk])
    Payment.objects.filter(pk=payments[1].pk).update(reason="outside")
    found = [
        (effect["key"], effect["kind"], effect["after"] and effect["after"]["reason"])
        for effect in effects.noted("payments", write)
        if effect["own"]
    ]
    assert found == [(str(payments[0].pk), "update", "twice"), (str(payments[2].pk), "delete", None)]
    assert Refund.objects.count() == 0


def test_a_database_error_while_recording_fails_no_request(there: Service, recorded, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("whatever it is")

    monkeypatch.setattr(store, "keep", fail)
    user = make_user()
    assert pay(client_of(user), make_order(user)).status_code == 201
