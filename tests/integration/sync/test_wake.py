"""P12: waking a worker costs a committed request next to nothing, and never fails it."""

from __future__ import annotations

import time

import pytest
from celery import current_app
from django.conf import settings
from django.test import override_settings

from strangler.sync import broker, relay, reverse, tasks, wake
from tests.integration.sync.bank.models import Code
from tests.integration.sync.estate import CONTEXT, SOURCE, wait_for

pytestmark = pytest.mark.only("postgresql", "the broker, which knows no database; it runs once")

STREAM = CONTEXT


@pytest.fixture(autouse=True)
def fresh(estate, monkeypatch):
    monkeypatch.setattr(wake, "_silent_until", 0.0)
    broker.client().delete(wake.KEY + STREAM)
    wake.leave(STREAM)


@pytest.fixture
def sent(monkeypatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(wake, "_send", messages.append)
    return messages


def test_p12_one_message_is_under_way_at_a_time(sent):
    assert wake.wake(STREAM)
    assert not wake.wake(STREAM)
    assert sent == [STREAM]
    broker.client().delete(wake.KEY + STREAM)
    assert wake.wake(STREAM)


def test_p12_who_asks_during_a_round_gets_another_one(estate, sent):
    """The message is not sent again, so the holder must look at the key before it goes."""
    Code.objects.using(SOURCE).create(code="a")
    asked = []

    def commit_meanwhile(_: object) -> None:
        if not asked:
            Code.objects.using(SOURCE).create(code="b")
            asked.append(wake.wake(STREAM))

    estate.service.before = commit_meanwhile
    assert estate.relay() == 2
    estate.assert_equal("bank.Code")


def test_p12_who_asks_just_before_the_lease_is_given_back_is_not_forgotten(estate, sent, monkeypatch):
    """The asker found the key set and the lease held; the holder looks once more after giving it back."""
    from strangler.sync.lease import Lease

    release = Lease.release
    asked = []

    def ask_then_release(self):
        if not asked:
            asked.append(True)
            Code.objects.using(SOURCE).create(code="late")
            wake.wake(STREAM)
        release(self)

    monkeypatch.setattr(Lease, "release", ask_then_release)
    estate.relay()
    estate.assert_equal("bank.Code")


def test_p12_a_redis_that_is_down_is_swallowed_counted_and_left_alone_for_a_second(estate):
    failures = wake.failures
    with override_settings(STRANGLER={**settings.STRANGLER, "REDIS_URL": "redis://127.0.0.1:9/0"}):
        assert wake.wake(STREAM) is False
        assert wake.failures == failures + 1
        started = time.perf_counter()
        for _ in range(100):
            wake.wake(STREAM)
        assert time.perf_counter() - started < 0.05, "no further attempt"
        assert wake.failures == failures + 1
        Code.objects.using(SOURCE).create(code="k")
        estate.relay()
        estate.assert_equal("bank.Code")


def test_p12_a_broker_that_is_down_is_swallowed_within_a_moment(estate, monkeypatch):
    failures, took = wake.failures, []
    for _ in range(3):  # other work on the machine must be in the way three times to fail this
        gone = current_app.connection_for_write("redis://127.0.0.1:9/0", transport_options=wake.QUICK)
        monkeypatch.setattr(wake._local, "connection", gone, raising=False)
        monkeypatch.setattr(wake, "_silent_until", 0.0)
        broker.client().delete(wake.KEY + STREAM)
        started = time.perf_counter()
        assert wake.wake(STREAM) is False
        took.append(time.perf_counter() - started)
    assert min(took) < 0.3
    assert wake.failures == failures + 3


def test_the_task_never_fails_and_leaves_the_reason_on_the_stream(estate):
    Code.objects.using(SOURCE).create(code="k")
    assert tasks.run(STREAM) == 0
    assert "does not answer" in estate.stream()["last_error"]
    assert tasks.run("no such stream") == 0


def test_p12_a_holder_is_nudged_without_a_message(estate, sent, threads):
    """In a round and between two of them; who asks meanwhile costs the broker nothing."""
    wake.hold(STREAM)
    heard: list[bool] = []
    threads.start(lambda: heard.append(wake.linger(STREAM, 5.0)))
    wait_for(lambda: any(one["cmd"] == "blpop" for one in broker.client().client_list()), "the holder lingering")
    assert wake.wake(STREAM)
    threads.join()
    assert (heard, sent) == ([True], [])


def test_p12_who_asked_before_the_holder_lingers_is_heard_at_once(estate, sent):
    wake.hold(STREAM)
    wake.wake(STREAM)
    started = time.perf_counter()
    assert wake.linger(STREAM, 5.0)
    assert time.perf_counter() - started < 2


def test_p12_what_was_asked_before_a_round_is_not_heard_after_it(estate, sent):
    wake.hold(STREAM)
    wake.wake(STREAM)
    wake.hold(STREAM)
    assert not wake.linger(STREAM, 0.05)


def test_p12_a_holder_that_has_gone_is_sent_a_message(estate, sent):
    wake.hold(STREAM)
    assert not wake.linger(STREAM, 0.05)
    wake.leave(STREAM)
    assert wake.wake(STREAM)
    assert sent == [STREAM]


def test_p12_who_asks_a_holder_that_works_sends_no_message(estate, sent):
    """A message to a worker that finds the lease taken costs it a connection to the database, for nothing."""
    Code.objects.using(SOURCE).create(code="a")
    asked = []

    def commit_meanwhile(_: object) -> None:
        if len(asked) < 3:
            Code.objects.using(SOURCE).create(code=f"b{len(asked)}")
            asked.append(wake.wake(STREAM))

    estate.service.before = commit_meanwhile
    assert estate.relay() == 4
    assert (asked, sent) == ([True] * 3, [])
    estate.assert_equal("bank.Code")


@pytest.mark.parametrize("run", [relay.run, reverse.run], ids=["relay", "puller"])
def test_p12_a_holder_whose_time_is_over_passes_on_what_it_was_asked(estate, sent, run):
    """Who asked has told the holder alone, and asks nobody else for a second: without a message all would wait for that long."""
    stream = STREAM if run is relay.run else f"{STREAM}-reverse"
    Code.objects.using(SOURCE).create(code="a")
    estate.service.before = lambda _: wake.wake(stream)
    changes = estate.service.changes

    def asked_meanwhile(*page: int) -> dict:
        wake.wake(stream)
        return changes(*page)

    estate.service.changes = asked_meanwhile
    assert run(stream, SOURCE, estate.service, 0.0) == 1
    assert sent == [stream]


def test_p12_a_holder_that_fails_is_no_longer_asked(estate, sent):
    def fail(_: object) -> None:
        raise ConnectionError("gone")

    Code.objects.using(SOURCE).create(code="a")
    estate.service.before = fail
    with pytest.raises(ConnectionError):
        estate.relay()
    assert wake.wake(STREAM)
    assert sent == [STREAM]


def test_p12_a_holder_that_was_killed_is_taken_for_one_no_longer_than_two_seconds(estate, sent):
    wake.hold(STREAM)
    assert 0 < broker.client().pttl(wake.HELD + STREAM) <= 2000
