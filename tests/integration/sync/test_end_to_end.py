"""Real processes, many connections, two relays that fight for the stream: both sides end equal, row by row.

Over HTTP and over Celery alike (``served.destination()``); ``test_rabbitmq`` has what differs with that broker.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from typing import Any

import psycopg
import pytest
from django.db import connections

from strangler.errors import LostLease, ServiceUnavailable, StaleEpoch
from strangler.sync import drift, marker, outbox, ownership, relay, reverse
from strangler.sync.database import connection, rows, value
from tests.integration.sync.bank.models import Account, Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect, expire, wait_for

WRITES = (
    "INSERT INTO bank_code (code, meaning) VALUES (%(key)s, %(value)s) "
    "ON CONFLICT (code) DO UPDATE SET meaning = EXCLUDED.meaning",
    "UPDATE bank_code SET meaning = %(value)s WHERE code = %(key)s",
    "DELETE FROM bank_code WHERE code = %(key)s",
    "UPDATE bank_code SET code = %(other)s WHERE code = %(key)s AND NOT EXISTS (SELECT 1 FROM bank_code WHERE code = %(other)s)",
    "INSERT INTO bank_account (handle, balance, opened_at) VALUES (%(key)s, 1.10, '2026-01-01 00:00:00') ON CONFLICT DO NOTHING",
    "UPDATE bank_account SET balance = balance + 0.01 WHERE handle >= %(key)s",
    "DELETE FROM bank_account WHERE handle = %(key)s",
    "UPDATE bank_account SET handle = CASE handle WHEN %(key)s THEN %(other)s ELSE %(key)s END || '~' "
    "WHERE handle IN (%(key)s, %(other)s)",
    "INSERT INTO bank_reading VALUES (%(number)s, 2025 + %(number)s %% 2, %(value)s) ON CONFLICT DO NOTHING",
    "UPDATE bank_reading SET year = 4051 - year WHERE id = %(number)s",
    'INSERT INTO "Odd Table" (small, ratio, data, raw) VALUES (%(number)s, 0.1, \'{"a": [1, null]}\', %(bytes)s)',
)
ELSEWHERE = {
    "postgresql": "TRUNCATE bank_reading_2025",
    "sqlite": "INSERT OR REPLACE INTO bank_account (handle, balance, opened_at) VALUES (%(key)s, 2, '2026-01-01 00:00:00')",
}
UNDONE = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.UniqueViolation,
    sqlite3.IntegrityError,
)


class Workload:
    """Writers with short and long transactions that overlap and commit late; each with a seed of its own."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.late = threading.Barrier(3)
        self.vendor = connection(alias).vendor
        self.acknowledged = 0

    def write(self, seed: int, transactions: int) -> None:
        generator = random.Random(seed)
        with closing(program := connect(self.alias, synchronous_commit=generator.choice(("on", "off")))):
            for n in range(transactions):
                is_late = n % 10 == 5 and self.vendor == "postgresql"  # SQLite has one writer at a time
                try:
                    with program.transaction(force_rollback=generator.random() < 0.1):
                        for _ in range(generator.randrange(1, 5)):
                            self._one(program, generator, may_truncate=not is_late)
                        if is_late:
                            self._wait_for_the_others()
                except UNDONE:
                    continue
                self.acknowledged += 1

    def _wait_for_the_others(self) -> None:
        """All three have written and none has committed: ids and commits come in different orders."""
        try:
            self.late.wait(0.2)
        except threading.BrokenBarrierError:
            self.late.reset()

    def _one(self, program: Any, generator: random.Random, may_truncate: bool) -> None:
        statement = generator.choice((*WRITES, ELSEWHERE[self.vendor]))
        if statement.startswith("TRUNCATE") and (not may_truncate or generator.random() < 0.7):
            return
        program.execute(
            statement,
            {
                "key": f"k{generator.randrange(30):02}",
                "other": f"k{generator.randrange(30):02}",
                "value": f"v{generator.randrange(10**6)}",
                "bytes": generator.randbytes(6),
                "number": generator.randrange(40),
            },
        )


def fights(stop: threading.Event, carry, stream: str) -> None:
    """Takes the stream from whoever has it, and carries it for a moment."""
    while not stop.is_set():
        expire(stream)
        try:
            carry()
        except (LostLease, ServiceUnavailable):
            continue


def assert_converged(estate, service, stream: str) -> None:
    assert value("SELECT count(*) FROM strangler_quarantine", using=SOURCE) == 0
    estate.assert_equal()
    assert drift.check(stream, using=SOURCE, client=service.client()).differing == []


@pytest.mark.parametrize(("served", "seed"), [("http", 1), ("http", 2), ("celery", 3)], indirect=["served"])
def test_p06_p08_two_relays_end_with_both_sides_equal(estate, served, threads, seed):
    load, stop = Workload(SOURCE), threading.Event()
    carriers = [
        threads.start(
            fights, stop, lambda: relay.run(CONTEXT, using=SOURCE, destination=served.destination(), budget_s=0.2), CONTEXT
        )
        for _ in range(2)
    ]  # fmt: skip
    writers = [threads.start(load.write, seed * 100 + n, 60) for n in range(3)]
    wait_for(lambda: load.acknowledged > 40, "some load", 30)
    served.kill()
    served.start()
    for writer in writers:
        writer.join(60)
    stop.set()
    for carrier in carriers:
        carrier.join(30)
    threads.join()
    rows("UPDATE strangler_stream SET lease_until = NULL, retry_at = NULL", using=SOURCE)

    def is_drained() -> bool:
        relay.run(CONTEXT, using=SOURCE, destination=served.destination())
        return not outbox.depth(CONTEXT, SOURCE)

    wait_for(is_drained, "the drain", 30)
    assert load.acknowledged > 100
    assert_converged(estate, served, CONTEXT)


def test_p11_two_pullers_over_http_end_with_both_sides_equal(estate, service, threads):
    estate.hand_over("service", 1)
    load, stop, stream = Workload(DESTINATION), threading.Event(), f"{CONTEXT}-reverse"
    carriers = [
        threads.start(fights, stop, lambda: reverse.run(stream, using=SOURCE, feed=service.client(), budget_s=0.2), stream)
        for _ in range(2)
    ]
    writers = [threads.start(load.write, 300 + n, 60) for n in range(3)]
    for writer in writers:
        writer.join(60)
    stop.set()
    for carrier in carriers:
        carrier.join(30)
    threads.join()
    rows("UPDATE strangler_stream SET lease_until = NULL, retry_at = NULL", using=SOURCE)
    position = marker.position(DESTINATION)

    def is_drained() -> bool:
        reverse.run(stream, using=SOURCE, feed=service.client())
        return reverse.published(stream, SOURCE) > position

    wait_for(is_drained, "the drain", 30)
    assert_converged(estate, service, stream)


def test_the_whole_way_there_and_back(estate, served):
    """Fence, drain to a marker, hand over, write there, drain back, hand back: the engine's steps with the real calls."""
    client, destination = served.client(), served.destination()
    Account.objects.using(SOURCE).create(handle="a")
    relay.run(CONTEXT, using=SOURCE, destination=destination)
    ownership.change(CONTEXT, epoch=1, owner="none", operation="cut", using=SOURCE)
    fence_marker = marker.draw(SOURCE)
    relay.run(CONTEXT, using=SOURCE, destination=destination)
    assert estate.stream()["marker"] > fence_marker
    from strangler.sync import sequences

    client.put_ownership(epoch=1, owner="none", operation="cut", next_ids=sequences.next_ids(CONTEXT, SOURCE))
    with pytest.raises(StaleEpoch):
        client.put_ownership(epoch=0, owner="monolith", operation="late")
    ownership.change(CONTEXT, epoch=1, owner="service", operation="cut", using=SOURCE)
    said = client.put_ownership(epoch=1, owner="service", operation="cut")
    assert (said["owner"], said["epoch"]) == ("service", 1)
    Code.objects.using(DESTINATION).create(code="written there")
    said = client.put_ownership(epoch=2, owner="none", operation="back")
    reverse.run(f"{CONTEXT}-reverse", using=SOURCE, feed=client)
    assert reverse.published(f"{CONTEXT}-reverse", SOURCE) > said["marker"]
    ownership.change(CONTEXT, epoch=2, owner="none", operation="back", next_ids=said["next_ids"], using=SOURCE)
    ownership.change(CONTEXT, epoch=2, owner="monolith", operation="back", using=SOURCE)
    client.put_ownership(epoch=2, owner="monolith", operation="back")
    Code.objects.using(SOURCE).create(code="written here again")
    relay.run(CONTEXT, using=SOURCE, destination=destination)
    estate.assert_equal()


@pytest.mark.only("postgresql", "one statement that does what takes three on SQLite")
def test_a_round_with_few_rows_takes_few_statements_and_one_request(estate, service):
    client = service.client()
    asked: list[str] = []
    answer = client._answer

    def counted(method: str, path: str, **request: Any) -> Any:
        asked.append(method)
        return answer(method, path, **request)

    client._answer = counted
    statements: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    for n in range(3):
        Code.objects.using(SOURCE).create(code=str(n))
        asked.clear()
        statements.clear()
        with connections[SOURCE].execute_wrapper(note):
            relay.run(CONTEXT, using=SOURCE, destination=client)
    assert asked == ["POST"]
    assert len(statements) <= 11, "\n".join(statements)
