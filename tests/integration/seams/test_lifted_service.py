"""The lifted service as a real process with a database of its own, next to the monolith's: P15, P18, P20, P26 over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
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
from strangler.sync import install, ownership, relay, streams
from strangler.sync.client import ServiceClient

from .conftest import Aside
from .shop import client_of, make_order, make_user

ROOT = Path(__file__).resolve().parents[3]
HERE = ROOT / "extracted" / "payments-django"


@dataclass
class Service:
    """``extracted/payments-django`` under gunicorn, on a free port, and its database."""

    port: int
    database_url: str
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(HERE / "manage.py"), *words]
        return subprocess.run(command, env={**self.environment, **environment}, capture_output=True, text=True, check=False)

    def start(self) -> None:
        options = ["--worker-class", "gthread", "--threads", "8", "--bind", f"127.0.0.1:{self.port}", "--no-control-socket"]
        command = [sys.executable, "-m", "gunicorn", *options, "payments_service.wsgi:application"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=HERE, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        until(lambda: self.process.poll() is not None or self.answers(), "the service answers")
        assert self.process.poll() is None, self.log.read_text()

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/livez", timeout=1).ok
        except requests.RequestException:
            return False

    def kill(self) -> None:
        """SIGKILL for master and worker: nothing is finished, nothing is told."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.database_url, autocommit=True)

    def empty(self) -> None:
        """No rows of an earlier test, whose ids come again."""
        mirrored = "payments_payment, payments_refund, payments_idempotencykey, orders_order, users_user"
        with self.connect() as connection:
            connection.execute("SET strangler.origin = 'test'")  # as the apply does, so that the fence lets it through
            connection.execute(f"TRUNCATE {mirrored} CASCADE")
            connection.execute("TRUNCATE strangler_applied, strangler_outbox")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(sql).fetchall()  # type: ignore[call-overload, no-any-return]


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture(scope="module")
def lifted(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(postgres.create_database("seams_payments"), tmp_path_factory.mktemp("lifted")) as service:
        yield service


@contextmanager
def running(database_url: str, directory: Path, settings: str = "payments_service.settings") -> Iterator[Service]:
    """Migrated, installed and running."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    declared = (ROOT / "strangler.toml").read_text()
    estate = directory / "strangler.toml"
    estate.write_text(declared.replace("http://127.0.0.1:8105", f"http://127.0.0.1:{port}"))
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PAYMENTS_DATABASE_URL"},
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": settings,
        "STRANGLER_ESTATE": str(estate),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
        "ALLOWED_HOSTS": "127.0.0.1",
    }
    service = Service(port, database_url, environment, directory / "service.log")
    try:
        for words in (("migrate", "--verbosity", "0"), ("replica_install",)):
            done = service.manage(*words)
            assert done.returncode == 0, done.stdout + done.stderr
        service.start()
        yield service
    finally:
        service.kill()


@pytest.fixture
def estate(lifted: Service, transactional_db: None, settings: Any) -> Iterator[Service]:
    """The monolith is this process; its streams to the service are live."""
    settings.STRANGLER = {**settings.STRANGLER, "ESTATE": lifted.environment["STRANGLER_ESTATE"]}
    conf.load.cache_clear()
    http._breakers.clear()
    install.install("payments")
    for stream in ("payments", "payments-copies"):
        streams.start(stream)
    if lifted.process is None:
        lifted.start()
    lifted.empty()
    owned_by_monolith()
    yield lifted
    if lifted.process is None:
        lifted.start()
    owned_by_monolith()
    install.uninstall("payments")
    conf.load.cache_clear()


def next_epoch() -> int:
    return max(ownership.get("payments").epoch, int(ServiceClient("payments").ownership()["epoch"])) + 1


def owned_by_monolith() -> None:
    """Both sides say so, at one epoch."""
    row = {"epoch": next_epoch(), "owner": "monolith", "operation": "between tests"}
    ServiceClient("payments").put_ownership(**row)
    ownership.change("payments", **row)


def move(service: Service) -> None:
    """The cut-over's writes of ownership, in the order of the protocol."""
    epoch = next_epoch()
    ownership.change("payments", epoch=epoch, owner="none", operation="test")
    relay.run("payments")
    ServiceClient("payments").put_ownership(epoch=epoch, owner="none", operation="test")
    ownership.change("payments", epoch=epoch, owner="service", operation="test")
    ServiceClient("payments").put_ownership(epoch=epoch, owner="service", operation="test")
    assert service.rows("SELECT owner FROM strangler_ownership") == [("service",)]


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
