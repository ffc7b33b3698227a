"""RabbitMQ as the broker, a real one: wake-ups, the workers of both sides, and a kill -9 in the midst of a stream.

Valkey stays what markers, route tables and wake-up keys travel by. ``test_courier`` and the tests of pausing run on both.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil
import pytest
from celery import current_app

from deploy.local.child import Child, Process
from deploy.local.readiness import Says
from strangler.sync import broker as channel
from strangler.sync import line, outbox, wake
from strangler.sync.database import rows, value
from tests.integration.sync.bank.models import Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, wait_for
from tests.integration.sync.process import ROOT, environment

pytestmark = pytest.mark.only("postgresql", "the broker, which knows no database; it runs once")


@pytest.fixture
def broker(rabbitmq, monkeypatch) -> str:
    monkeypatch.setenv("CELERY_BROKER_URL", rabbitmq.url)
    return rabbitmq.url


@pytest.fixture
def fresh(estate, broker, monkeypatch):
    """Nobody was asked, and this thread is not connected."""
    monkeypatch.setattr(wake, "_silent_until", 0.0)
    monkeypatch.setattr(wake._local, "connection", None, raising=False)
    channel.client().delete(wake.KEY + CONTEXT)
    wake.leave(CONTEXT)
    taken()
    yield
    wake._hang_up()


def taken() -> list[str]:
    """The streams that workers were asked for; takes the messages."""
    found = []
    with current_app.connection_for_read() as connection:
        queue = current_app.amqp.queues[wake.QUEUE](connection.default_channel)
        queue.declare()
        while message := queue.get(no_ack=True):
            found.append(message.payload[0][0])
    return found


def ask_again() -> bool:
    channel.client().delete(wake.KEY + CONTEXT)
    wake._silent_until = 0.0
    return wake.wake(CONTEXT)


def test_p12_a_wake_up_arrives(fresh):
    assert wake.wake(CONTEXT)
    wait_for(lambda: taken() == [CONTEXT], "the message")


@pytest.fixture
def hanging(rabbitmq):
    """The broker's system still accepts connections; the broker does nothing."""
    members = [rabbitmq.child.pid]
    members += [child.pid for child in psutil.Process(rabbitmq.child.pid).children(recursive=True)]
    for pid in members:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in members:
        os.kill(pid, signal.SIGCONT)
    wait_for(rabbitmq.is_ready, "the broker going on", 30)


def test_p12_a_broker_that_hangs_is_swallowed_within_a_moment(fresh, hanging):
    failures, took = wake.failures, []
    for _ in range(3):  # other work on the machine must be in the way three times to fail this
        started = time.perf_counter()
        assert ask_again() is False
        took.append(time.perf_counter() - started)
    assert min(took) < 0.3
    assert wake.failures == failures + 3


def test_p12_a_broker_that_hangs_costs_a_connected_thread_as_little(fresh, request):
    assert wake.wake(CONTEXT)
    request.getfixturevalue("hanging")
    started = time.perf_counter()
    for _ in range(20):
        ask_again()
    assert time.perf_counter() - started < 20 * 0.3


class Holder:
    """The monolith's worker: one slot, which the holder of a stream fills while it waits for the service's answer."""

    def __init__(self, broker: str, directory) -> None:
        estate = directory / "strangler.toml"
        declared = (ROOT / "tests/integration/sync/strangler.toml").read_text()
        estate.write_text(
            declared.replace('urls = ["http://127.0.0.1:9"]', 'urls = ["http://127.0.0.1:9"], transport = "celery"')
        )
        argv = (sys.executable, "-m", "celery", "-A", "tests.integration.sync.worker", "--quiet", "worker", "--pool", "solo")
        argv += ("--hostname", "holder@%h", "--queues", wake.QUEUE, "--without-gossip", "--without-mingle", "--loglevel", "INFO")
        env = environment(SOURCE, CELERY_BROKER_URL=broker, SYNC_SIDE="monolith", SYNC_CONTEXT="", SYNC_ESTATE=str(estate))
        self.child = Child(Process(name="holder", argv=argv, env=env, cwd=ROOT, ready=Says(" ready.")), directory)

    def __enter__(self) -> Holder:
        self.child.start()
        self.child.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()


def arrived() -> int:
    return int(value("SELECT count(*) FROM bank_code", using=DESTINATION))


def tick() -> None:
    """What beat does each second, as far as streams go: the floor."""
    rows("UPDATE strangler_stream SET retry_at = NULL", using=SOURCE)
    ask_again()


def is_drained() -> bool:
    tick()
    return not outbox.depth(CONTEXT, SOURCE)


@pytest.mark.timeout(300)  # RabbitMQ starts twice; where the machine has other work that takes a minute each time
def test_p06_p12_nothing_is_lost_when_rabbitmq_is_killed_in_the_midst_of_a_stream(
    fresh, broker, rabbitmq, worker_of, tmp_path, threads
):
    """Real workers on both sides, each with one slot, so nothing else could take the answers."""
    worker_of(broker)
    with Holder(broker, tmp_path):
        stop: list[bool] = []
        written = 0

        def write() -> None:
            nonlocal written
            while not stop:
                Code.objects.using(SOURCE).create(code=f"c{written}")
                written += 1
                wake.wake(CONTEXT)
                time.sleep(0.002)  # a load, not a wait
            wake._hang_up()

        threads.start(write)
        wait_for(lambda: arrived() > 20, "a stream that flows", 30)
        rabbitmq.kill()
        there = arrived()
        wait_for(lambda: "broker" in estate_error(), "the stream saying why it waits", 20)
        rabbitmq.start()
        wait_for(lambda: tick() or arrived() > there + 20, "a stream that flows again", 60)
        stop.append(True)
        threads.join()
        wait_for(is_drained, "the drain", 60)
        assert arrived() == written


def estate_error() -> str:
    return str(value("SELECT last_error FROM strangler_stream WHERE name = %s", [CONTEXT], SOURCE))


def test_p12_a_thread_whose_connection_the_broker_has_closed_asks_at_once(fresh):
    """A first write to a dead connection succeeds: the wake-up would be lost, without a word."""
    assert wake.wake(CONTEXT)
    wait_for(lambda: taken() == [CONTEXT], "the first message")
    kept = wake._local.connection
    kept.connection.transport.sock.sendall(b"not a frame of AMQP")  # upon which the broker hangs up
    wait_for(lambda: not line.is_quiet(kept), "the broker hanging up")
    assert ask_again()
    assert wake._local.connection is not kept
    wait_for(lambda: taken() == [CONTEXT], "the second message")
