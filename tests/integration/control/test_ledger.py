"""Operations in real PostgreSQL: one at a time, and nothing is recorded by who lost the token."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from django.db import connection, connections

from strangler.control.errors import Busy
from strangler.control.ledger import DatabaseLedger, Heartbeat, open_operation
from strangler.control.models import Operation, Receipt
from strangler.control.saga import Running
from strangler.domain.stages import Position, Stage
from strangler.errors import LostLease

pytestmark = pytest.mark.django_db(transaction=True)
AT, TO = Position.of(Stage.MIRROR), Position.of(Stage.SHADOW)


def begin(ledger: DatabaseLedger, context: str = "payments", who: str = "ada") -> Running:
    return ledger.begin(context=context, verb="advance", at=AT, to=TO, step="gates", who=who, why="")


def expire() -> None:
    """The lease ends; its holder, this process, sleeps on."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_operation SET holder_until = now() - interval '1 second'")


def test_the_second_operator_is_told_by_whom_and_what() -> None:
    begin(DatabaseLedger())
    with pytest.raises(Busy, match=r"advance payments \(mirror → shadow\) by ada, at step gates"):
        begin(DatabaseLedger(), context="orders", who="bob")


def test_of_two_that_begin_at_once_one_wins() -> None:
    barrier, results = threading.Barrier(4), []

    def operator(name: str) -> None:
        barrier.wait()
        try:
            begin(DatabaseLedger(), who=name)
            results.append("won")
        except Busy:
            results.append("told")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=operator, args=(f"op{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(results) == ["told", "told", "told", "won"]


def test_a_living_holder_is_not_taken_over() -> None:
    ledger = DatabaseLedger()
    begin(ledger)
    assert ledger.take() is None


def test_a_take_over_raises_the_token_and_the_old_holder_records_nothing() -> None:
    ledger = DatabaseLedger()
    old = begin(ledger)
    expire()
    new = ledger.take()
    assert new is not None
    assert (new.id, new.token) == (old.id, old.token + 1)
    for write in (
        lambda: ledger.move(old, "publish", {}),
        lambda: ledger.turn_back(old, "unpublish", "x"),
        lambda: ledger.note(old, error="x"),
        lambda: ledger.reload(old),
        lambda: ledger.finish(old, "done", {}),
    ):
        with pytest.raises(LostLease):
            write()
    with pytest.raises(LostLease), ledger.guard(old):
        pytest.fail("the guard let a stale holder in")
    assert ledger.move(new, "publish", {"a": 1}).data == {"a": 1}


def test_a_step_is_recorded_once() -> None:
    ledger = DatabaseLedger()
    running = begin(ledger)
    ledger.move(running, "publish", {})
    with pytest.raises(LostLease):
        ledger.move(running, "publish", {})


def test_a_take_over_waits_for_a_guarded_transaction_and_then_sees_what_it_did() -> None:
    ledger = DatabaseLedger()
    running = begin(ledger)
    expire()
    inside, taken = threading.Event(), []

    def tick() -> None:
        inside.wait(10)
        taken.append(DatabaseLedger().take())
        connections.close_all()

    thread = threading.Thread(target=tick)
    thread.start()
    with ledger.guard(running):
        inside.set()
        thread.join(0.3)
        assert taken == []
        ledger.move(running, "commit", {"committed": True})
    thread.join(10)
    assert taken == [None]  # the guarded step renewed the lease with its record


def test_the_heartbeat_keeps_the_lease_and_ends_with_its_block() -> None:
    ledger = DatabaseLedger(lease_s=0.4)
    running = begin(ledger)
    with Heartbeat(ledger, running):
        for _ in range(10):
            threading.Event().wait(0.1)
            assert ledger.take() is None
    ledger.release(running)
    assert ledger.take() is not None


def test_a_holder_of_this_machine_that_died_is_taken_over_at_once() -> None:
    ledger = DatabaseLedger()
    begin(ledger)
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    operation = open_operation()
    assert operation is not None
    host = operation.holder.partition(":")[0]
    Operation.objects.update(holder=f"{host}:{dead.stdout.strip()}:x")
    assert int(dead.stdout) != os.getpid()
    assert ledger.take() is not None


def test_the_end_and_its_receipt_are_one_transaction() -> None:
    ledger = DatabaseLedger()
    running = ledger.move(begin(ledger), "converge", {"proxies": {"p": "1.2"}, "steps_ms": {"gates": 1.5}, "pause_ms": 12.0})
    receipt = ledger.finish(running, "done", {})
    assert (receipt.outcome, receipt.pause_ms, receipt.proxies) == ("done", 12.0, {"p": "1.2"})
    assert open_operation() is None
    with pytest.raises(LostLease):
        ledger.finish(running, "done", {})
    assert Receipt.objects.count() == 1
