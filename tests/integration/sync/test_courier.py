"""The transport ``celery`` with the service's real worker, on Valkey and on RabbitMQ: messages twice, late, forged, lost."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable

import pytest
import redis
from celery import current_app
from django.db import connections
from kombu import Queue

from strangler.domain.envelope import Event, to_json
from strangler.domain.tokens import BadToken, issue, verify
from strangler.errors import ServiceUnavailable, StaleEpoch, StranglerError
from strangler.sync import courier as couriers
from strangler.sync import mail, outbox, relay
from strangler.sync.courier import OUTSTANDING, Courier
from strangler.sync.database import rows, value
from strangler.sync.lease import TTL_S
from strangler.sync.line import CALL_S, CONNECT_S
from tests.integration.sync.bank.models import Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect, wait_for

pytestmark = pytest.mark.only("postgresql", "the transport, which knows no database; it runs once")

SECRET = "a token that is long enough for the tests"
tokens = itertools.count(1000)


@pytest.fixture(params=["valkey", "rabbitmq"])
def broker(request, monkeypatch) -> str:
    url = request.getfixturevalue(f"{request.param}_broker")
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    return url


@pytest.fixture
def worker(estate, broker, worker_of):
    return worker_of(broker)


@pytest.fixture
def courier(worker) -> Courier:
    return Courier(CONTEXT)


@pytest.fixture
def events(estate) -> Callable[..., list[Event]]:
    """``events(version, "a", "b")``: codes of those keys, whose meaning is the version."""

    def make(version: tuple[int, int, int], *keys: str) -> list[Event]:
        return [estate.event("bank.Code", key, version, {"code": key, "meaning": str(version)}) for key in keys]

    return make


def send(task: str, args: list[object], **options: object) -> None:
    """Over a connection of its own: Celery's pool may have one to the broker of another test."""
    with current_app.connection_for_write() as connection:
        current_app.send_task(task, args=args, connection=connection, **options)


def post(batch: list[Event], *, secret: str = SECRET, context: str = CONTEXT, sealed: str | None = None, at: float = 0) -> None:
    """A batch as whoever can write to the broker may send it, with nobody waiting for the answer."""
    body, delivery = to_json(batch), str(uuid.uuid4())
    seal = mail.seal_batch(secret, sealed or body, context=context, delivery=delivery, now=at or time.time())
    lane = mail.lanes_of("nobody", 0)[0]
    send(mail.APPLY, [body, seal], task_id=delivery, queue=mail.queue_of(CONTEXT), reply_to=lane)


def there() -> dict[str, str]:
    return {code.code: code.meaning for code in Code.objects.using(DESTINATION).all()}


def test_what_became_of_each_row_is_answered_as_by_http(courier, events, estate):
    unknown = estate.event("bank.None", "1", (0, 1, 1), {"id": 1})
    answer = courier.post_changes([*events((0, 1, 1), "a"), unknown])
    assert (answer["applied"], answer["poison"]) == (
        ["bank.Code/a"],
        [{"subject": "bank.None/1", "reason": "this side has no collection bank.None"}],
    )
    assert there() == {"a": "(0, 1, 1)"}
    assert courier.post_changes([])["applied"] == []


def test_p08_a_batch_that_comes_twice_or_late_changes_nothing(courier, events):
    """The worker takes one after the other, so what was posted before a batch has been judged when that one is answered."""
    courier.post_changes(events((0, 1, 5), "a"))
    for version in ((0, 1, 4), (0, 1, 4), (0, 0, 9)):
        post(events(version, "a", "b"))
    assert courier.post_changes(events((0, 1, 5), "a"))["skipped"] == ["bank.Code/a"]
    assert there() == {"a": "(0, 1, 5)", "b": "(0, 1, 4)"}


def test_p10_a_batch_that_waited_while_the_owner_changed_is_stale(courier, events, estate):
    estate.hand_over("service", 1)
    post(events((0, 1, 1), "late"))
    with pytest.raises(StaleEpoch, match="owned by this side"):
        courier.post_changes(events((0, 1, 2), "late too"))
    assert there() == {}


def test_a_batch_that_waited_for_an_hour_is_not_even_looked_at(courier, events):
    post(events((0, 1, 9), "old"), at=time.time() - 3600)
    courier.post_changes(events((0, 1, 1), "new"))
    assert there() == {"new": "(0, 1, 1)"}


def test_p10_the_broker_is_not_trusted(courier, events):
    """Whoever writes to it has no seal, and whoever reads a seal there can use it for nothing else."""
    batch = events((0, 1, 9), "forged")
    post(batch, secret="x" * 40)
    post(batch, context="orders")
    post(batch, sealed=to_json(events((0, 1, 8), "other")))
    bearer = issue(SECRET, audience=CONTEXT, now=time.time())
    send(mail.APPLY, [to_json(batch), bearer], queue=mail.queue_of(CONTEXT), reply_to="strangler.bank")
    courier.post_changes(events((0, 1, 1), "genuine"))
    assert there() == {"genuine": "(0, 1, 1)"}
    seal = mail.seal_batch(SECRET, "[]", context=CONTEXT, delivery="d", now=time.time())
    with pytest.raises(BadToken, match="not meant for bank"):
        verify(SECRET, seal, audience=CONTEXT, now=time.time())


def answer_to(delivery: str, lane: str, secret: str, *, sealed_for: str = "") -> None:
    """As the service would."""
    body = '{"applied": ["bank.Code/a"]}'
    seal = mail.seal_answer(secret, 200, body, context=CONTEXT, delivery=sealed_for or delivery, now=time.time())
    send(mail.ACKNOWLEDGE, [delivery, 200, body, seal], queue=existing(lane))


def existing(lane: str) -> Queue:
    """So that RabbitMQ keeps what is sent to it before anybody waits there."""
    return Queue(lane, queue_arguments={"x-expires": mail.UNUSED_MS})


def test_an_answer_counts_for_its_own_delivery_and_under_the_services_seal_alone(courier, events, monkeypatch):
    """Else a late answer, or a forged one, would make the relay forget pointers to what was never applied."""
    delivery, token = uuid.uuid4(), next(tokens)
    lane = mail.lanes_of(CONTEXT, token)[0]
    answer_to("another one", lane, SECRET)
    answer_to(str(delivery), lane, "x" * 40)
    answer_to(str(delivery), lane, SECRET, sealed_for="another one")
    send("rubbish", ["x"], queue=existing(lane))
    monkeypatch.setattr(couriers.uuid, "uuid4", lambda: delivery)
    assert courier.post_changes(events((0, token, 1), "b"))["applied"] == ["bank.Code/b"]


def test_another_token_on_the_services_side_is_named(courier, events, monkeypatch, settings):
    settings.STRANGLER = {**settings.STRANGLER, "TOKEN": "not the one of the service's worker"}
    with pytest.raises(ServiceUnavailable, match=r"not the service's: wrong signature, is its token the monolith's\?"):
        Courier(CONTEXT, wait_s=1).post_changes(events((0, 1, 1), "a"))
    assert there() == {}


def test_a_database_that_is_away_is_unavailable_and_a_bad_batch_an_error(courier, events, estate):
    name = connections[DESTINATION].settings_dict["NAME"]
    rows(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", using=SOURCE)
    try:
        with pytest.raises(ServiceUnavailable, match="the bank service answered 503: .*not.*accepting connections"):
            courier.post_changes(events((0, 1, 1), "a"))
    finally:
        rows(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true", using=SOURCE)
    two = [*events((0, 1, 1), "a"), estate.event("bank.Code", "b", (0, 1, 1), {"code": "b"}, stream="bank-copies")]
    with pytest.raises(StranglerError, match="was answered 400: a batch is of one stream"):
        courier.post_changes(two)


def test_threads_get_each_its_own_answer(courier, events, threads):
    """Six of one holder, which has four lanes, and two of another."""
    answers: dict[str, list[str]] = {}

    def carry(n: int) -> None:
        for k in range(4):
            key = f"{n}-{k}"
            answers[key] = courier.post_changes(events((0, n // 6, k), key))["applied"]

    for n in range(8):
        threads.start(carry, n)
    threads.join(60)
    assert answers == {key: [f"bank.Code/{key}"] for key in answers}
    assert len(answers) == 32


@pytest.mark.parametrize("broker", ["valkey"], indirect=True)  # RabbitMQ is killed in test_rabbitmq
def test_a_broker_that_drops_every_connection_is_spoken_to_anew(broker, courier, events):
    courier.post_changes(events((0, 1, 1), "a"))
    with redis.Redis.from_url(broker) as server:
        for client in server.client_list():
            if client["db"] == "9" and int(client["id"]) != server.client_id():
                server.client_kill_filter(_id=client["id"])
    patient = Courier(CONTEXT, wait_s=20)  # until the worker is connected anew
    answer = patient.post_changes(events((0, 1, 2), "b"))
    assert [*answer["applied"], *answer["skipped"]] == ["bank.Code/b"]  # skipped: what was sent before it broke had arrived
    assert there() == {"a": "(0, 1, 1)", "b": "(0, 1, 2)"}


@pytest.mark.parametrize("broker", ["valkey"], indirect=True)  # a worker takes seconds to start
def test_nothing_piles_up_while_nobody_is_there_and_all_is_well_afterwards(estate, worker, events):
    worker.kill()
    hasty = Courier(CONTEXT, wait_s=0.05)
    said = []
    for n in range(OUTSTANDING + 5):
        with pytest.raises(ServiceUnavailable) as refused:
            hasty.post_changes(events((0, n, 1), "a"))
        said.append(str(refused.value))
    assert "has not answered within 0.05 s; does a worker of it consume -Q strangler.bank?" in said[0]
    assert f"{OUTSTANDING} batches wait in the queue strangler.bank and nobody takes them" in said[-1]
    assert depth(mail.queue_of(CONTEXT)) == OUTSTANDING
    worker.start()
    wait_for(lambda: depth(mail.queue_of(CONTEXT)) == 0, "what waited is taken", 20)
    said_now = Courier(CONTEXT).post_changes(events((0, 0, 2), "a"))  # in a lane in which a late answer lies
    assert said_now["skipped"] == ["bank.Code/a"]


def depth(queue: str) -> int:
    with current_app.connection_for_write() as connection:
        return int(current_app.amqp.queues[queue](connection.default_channel).queue_declare().message_count)


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_p06_the_worker_killed_in_the_midst_of_a_batch(estate, worker, threads):
    Code.objects.using(SOURCE).create(code="a")
    raised: list[Exception] = []

    def carry() -> None:
        try:
            relay.run(CONTEXT, using=SOURCE, destination=Courier(CONTEXT, wait_s=2))
        except ServiceUnavailable as error:
            raised.append(error)

    with closing(program := connect(DESTINATION)), program.transaction():
        program.execute("LOCK TABLE bank_code IN ACCESS EXCLUSIVE MODE")
        threads.start(carry)
        wait_for(lambda: value(BLOCKED, [program.info.backend_pid], SOURCE), "the worker applying")
        worker.kill()
        threads.join()
    assert len(raised) == 1
    assert outbox.depth(CONTEXT, SOURCE) == 1, "nothing is forgotten that was not acknowledged"
    worker.start()
    rows("UPDATE strangler_stream SET retry_at = NULL", using=SOURCE)
    relay.run(CONTEXT, using=SOURCE, destination=Courier(CONTEXT))
    estate.assert_equal("bank.Code")
    assert outbox.depth(CONTEXT, SOURCE) == 0


BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"


def test_p06_a_wait_ends_before_the_lease_does():
    assert couriers.WAIT_S + min(CONNECT_S, CALL_S) < TTL_S
