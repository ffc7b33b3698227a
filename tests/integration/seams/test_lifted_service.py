"""The lifted service as a real process with a database of its own, next to the monolith's: P15, P18, P20, P26 over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import requests
from django.db import transaction

from monolith.orders.models import Order
from monolith.payments.contract import payments
from monolith.users.tokens import issue
from strangler import conf
from strangler.domain import tokens
from strangler.seams import Claim, SeamTimeout, claim, exchange, http
from strangler.sync import ownership, relay
from strangler.sync.client import ServiceClient

from .conftest import Aside
from .lifted import Service, beside_the_monolith, move, until
from .shop import client_of, make_order, make_user


@pytest.fixture
def estate(lifted: Service, transactional_db: None, settings: Any) -> Iterator[Service]:
    with beside_the_monolith(lifted, settings) as service:
        yield service


def charge(order: Order, key: str, method: str = "ok") -> Any:
    return payments.charge(
        key=key, order_id=order.pk, user_id=order.user_id, amount=order.total, currency=order.currency, method=method
    )


def ordered() -> Order:
    order = make_order(total="20.00")
    relay.run("payments-copies")
    return order


def test_it_answers_as_the_monolith_does(estate: Service) -> None:
    user = make_user()
    order = make_order(user)
    own = charge(order, "k1")
    relay.run("payments")
    relay.run("payments-copies")
    here = client_of(user).get(f"/api/payments/{own.id}/")
    there = requests.get(
        f"{estate.url}/api/payments/{own.id}/", headers={"Authorization": f"Bearer {issue(user_id=user.pk)}"}, timeout=5
    )
    assert (there.status_code, there.json()) == (here.status_code, here.json())


def test_a_session_of_the_monolith_counts_there_too(estate: Service) -> None:
    user = make_user()
    client = client_of(user)
    relay.run("payments-copies")
    cookie = {"sessionid": client.cookies["sessionid"].value}
    answer = requests.get(f"{estate.url}/api/payments/", cookies=cookie, timeout=5)
    assert (answer.status_code, answer.json()["count"]) == (200, 0)
    assert not answer.cookies


def test_p18_a_charge_is_made_there_and_its_position_comes_back(estate: Service) -> None:
    order = ordered()
    move(estate)
    with exchange.begin({}) as current:
        payment = charge(order, "intent-1")
    assert payment.state == "captured"
    assert estate.rows("SELECT id, state FROM payments_payment") == [(payment.id, "captured")]
    epoch, marker = current.positions["payments"]
    assert epoch == ownership.get("payments").epoch
    assert marker > 0


def test_p18_killed_in_the_middle_the_same_key_makes_one_charge(estate: Service, aside: Aside) -> None:
    """The service dies after it has asked the provider, before it can note the answer. Nobody knows; the intent's id does."""
    order = ordered()
    move(estate)
    key = f"intent-{uuid4()}"
    with estate.connect() as blocker:
        blocker.autocommit = False
        blocker.execute("LOCK TABLE payments_idempotencykey IN EXCLUSIVE MODE")
        asked = aside(lambda: charge(order, key))
        until(lambda: estate.rows("SELECT 1 FROM payments_payment WHERE state = 'processing'"), "the payment is begun")
        until(lambda: estate.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), "its answer is being noted")
        estate.kill()
        with pytest.raises(SeamTimeout):
            asked.result(20)
        blocker.rollback()
    until(lambda: estate.rows("SELECT state FROM payments_payment") == [("processing",)], "the dead worker's transaction is gone")
    estate.start()
    http._breakers.clear()
    paid = charge(order, key)
    assert paid.state == "captured"
    assert charge(order, key).id == paid.id
    assert estate.rows("SELECT idempotency_key, state FROM payments_payment") == [(key, "captured")]


def test_p18_killed_after_the_commit_the_answer_is_the_same(estate: Service) -> None:
    order = ordered()
    move(estate)
    first = charge(order, "intent-2")
    estate.kill()
    estate.start()
    again = charge(order, "intent-2")
    assert again == first
    assert estate.rows("SELECT count(*) FROM payments_payment") == [(1,)]


def test_p17_the_claim_and_the_call_agree(estate: Service) -> None:
    order = ordered()
    with transaction.atomic():
        assert claim("payments") is Claim.LOCAL
    move(estate)
    with transaction.atomic():
        assert claim("payments") is Claim.REMOTE
    assert charge(order, "intent-3").amount == Decimal("20.00")


def bearer(user_id: int) -> dict[str, str]:
    token = tokens.issue(conf.service_secret(), audience="payments", now=time.time(), act=user_id)
    return {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex}


def test_p20_a_write_there_that_is_not_its_own_is_not_executed(estate: Service) -> None:
    order = ordered()
    body = {"order": order.pk, "amount": "20.00", "currency": "EUR", "method": "ok"}
    epoch = ServiceClient("payments").ownership()["epoch"]
    stamp = {"X-Strangler-Context": "payments", "X-Strangler-Epoch": str(epoch), "X-Strangler-Access": "write"}
    stamped = requests.post(f"{estate.url}/api/payments/", json=body, headers={**bearer(order.user_id), **stamp}, timeout=5)
    assert (stamped.status_code, stamped.headers["X-Strangler-Not-Executed"]) == (421, "1")
    unstamped = requests.post(f"{estate.url}/api/payments/", json=body, headers=bearer(order.user_id), timeout=5)
    assert (unstamped.status_code, unstamped.headers["Retry-After"]) == (503, "1")
    assert estate.rows("SELECT count(*) FROM payments_payment") == [(0,)]


def test_what_is_not_of_payments_is_not_served(estate: Service) -> None:
    assert requests.get(f"{estate.url}/api/orders/", timeout=5).status_code == 421
    assert requests.get(f"{estate.url}/admin/", timeout=5, allow_redirects=False).status_code == 421


def test_p26_what_was_held_back_is_in_the_metrics(estate: Service) -> None:
    text = requests.get(f"{estate.url}/metrics", timeout=5).text
    assert 'strangler_suppressed_total{kind="task"}' in text


def test_it_is_ready_only_when_it_is_set_up(estate: Service, postgres: Any) -> None:
    assert requests.get(f"{estate.url}/readyz", timeout=5).status_code == 200
    bare = postgres.create_database("seams_payments_bare")
    done = estate.manage("replica_install", DATABASE_URL=bare)
    assert done.returncode == 1
    assert "migrate" in done.stderr


def test_installing_again_empties_nothing(estate: Service) -> None:
    order = ordered()
    charge(order, "k1")
    relay.run("payments")
    assert estate.rows("SELECT count(*) FROM payments_payment") == [(1,)]
    done = estate.manage("replica_install")
    assert (done.returncode, "in place as before" in done.stdout) == (0, True), done.stderr
    assert estate.rows("SELECT count(*) FROM payments_payment") == [(1,)]


def test_a_database_with_rows_is_refused(estate: Service, postgres: Any) -> None:
    """The monolith's database by mistake: the first installation would empty its orders."""
    other = postgres.create_database("seams_payments_full")
    assert estate.manage("migrate", "--verbosity", "0", DATABASE_URL=other).returncode == 0
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO users_user (email, password, is_active, is_staff, is_superuser, date_joined, session_stamp) "
            "VALUES ('ada@example.org', '!', true, false, false, now(), gen_random_uuid())"
        )
    done = estate.manage("replica_install", DATABASE_URL=other)
    assert done.returncode == 1
    assert "users_user" in done.stderr
