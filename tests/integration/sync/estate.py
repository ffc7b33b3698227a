"""Two databases and what runs between them, for tests that act as monolith (alias ``source``) and service (``destination``)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connections, models

from strangler.domain.envelope import Event, from_json, to_json
from strangler.sync import apply, batch, collections, digest, feed, install, marker, outbox, ownership, relay, reverse
from strangler.sync.database import port, rows, snapshot, value
from strangler.sync.databases.port import Statement
from strangler.sync.digest import Range
from tests.integration.sync.servers import act_as, connect

SOURCE, DESTINATION = "source", "destination"
CONTEXT = "bank"


def bank_models() -> list[type[models.Model]]:
    found = [*apps.get_app_config("people").get_models(), *apps.get_app_config("bank").get_models()]
    return [model for model in found if model._meta.managed]


def build(alias: str, unmanaged: Sequence[str]) -> None:
    """The tables of the test project, in an empty database that has the product's."""
    with connections[alias].schema_editor() as editor:
        for model in bank_models():
            editor.create_model(model)
    for statement in unmanaged:
        rows(statement, using=alias)


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = 10.0) -> Any:
    """The first true answer of ``condition``; fails naming ``what`` when the patience is over."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.005)
    raise AssertionError(f"{what} did not come true in {patience_s} s")


def expire(stream: str = CONTEXT) -> None:
    """As if the stream's holder had been paused for longer than its lease."""
    rows(Statement("UPDATE strangler_stream SET lease_until = {later:-1}, retry_at = NULL WHERE name = %s"), [stream], SOURCE)


def is_waiting_for_a_lock(alias: str, pid: int) -> bool:
    return bool(value("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid], using=alias))


class Threads:
    """Threads that end, and whose errors fail the test."""

    def __init__(self) -> None:
        self.started: list[tuple[threading.Thread, list[BaseException]]] = []

    def start(self, target: Callable[..., Any], *args: Any) -> threading.Thread:
        errors: list[BaseException] = []

        def body() -> None:
            try:
                target(*args)
            except BaseException as error:
                errors.append(error)
            finally:
                connections.close_all()

        thread = threading.Thread(target=body, daemon=True)
        self.started.append((thread, errors))
        thread.start()
        return thread

    def join(self, patience_s: float = 30.0) -> None:
        for thread, errors in self.started:
            thread.join(patience_s)
            assert not thread.is_alive(), "a thread did not end"
            for error in errors:
                raise error
        self.started.clear()


class Direct:
    """The service without HTTP: the contract's calls, through JSON as on the wire, on the alias ``destination``."""

    def __init__(self) -> None:
        self.posted: list[list[Event]] = []
        self.before: Callable[[list[Event]], None] = lambda events: None
        self.after: Callable[[dict[str, Any]], None] = lambda answer: None

    def post_changes(self, events: list[Event]) -> dict[str, Any]:
        self.posted.append(events)
        try:
            self.before(events)
            answer = apply.apply(from_json(to_json(events)), using=DESTINATION).to_json()
            self.after(answer)
            return answer
        finally:
            if threading.current_thread().name.startswith("post-"):  # the relay's own, which ends without a word
                connections.close_all()

    def changes(self, after: int, limit: int) -> dict[str, Any]:
        from strangler.domain import wire

        return wire.loads(feed.read(CONTEXT, after, limit, using=DESTINATION))

    def digest(
        self, collection: str, from_: str | None = None, to: str | None = None, buckets: int = 32, since: int | None = None
    ) -> list[dict[str, Any]]:
        if since is not None:
            changed = rows(
                "SELECT key FROM strangler_applied WHERE collection = %s AND round > %s", [collection, since], DESTINATION
            )
            return self.digest_keys(collection, [key for (key,) in changed])
        found = collections.find(CONTEXT, collection, DESTINATION)
        with snapshot(DESTINATION) as cursor:
            listed = digest.buckets(cursor, found, Range(from_, to), buckets)
        return [{"from": b.from_, "to": b.to, "count": b.count, "digest": b.digest} for b in listed]

    def digest_keys(self, collection: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        with snapshot(DESTINATION) as cursor:
            found = digest.of_keys(cursor, collections.find(CONTEXT, collection, DESTINATION), keys)
        return [{"from": key, "to": key, "count": int(key in found), "digest": found.get(key, 0)} for key in keys]

    def rows(self, collection: str, keys: Sequence[str]) -> dict[str, dict[str, str | None]] | None:
        with snapshot(DESTINATION) as cursor:
            return digest.texts_of(cursor, collections.find(CONTEXT, collection, DESTINATION), keys)

    def note(self, collection: str, keys: Sequence[str]) -> int:
        return outbox.note(CONTEXT, collection, keys, DESTINATION)

    def ownership(self) -> dict[str, Any]:
        schemas = {collection.name: collection.schema for collection in collections.of(CONTEXT, DESTINATION)}
        return {"marker": marker.draw(DESTINATION), "schemas": schemas}


class Estate:
    """A bank on both sides, installed, nothing in it, the monolith its owner at epoch 0, all streams live."""

    def __init__(self) -> None:
        self.service = Direct()

    def install(self) -> None:
        install.install(CONTEXT, using=SOURCE)
        install.install_replica(CONTEXT, using=DESTINATION)
        rows("UPDATE strangler_stream SET state = 'live'", using=SOURCE)

    def reset(self) -> None:
        tables = [collection.ddl for collection in collections.for_context(CONTEXT, SOURCE)] + ["people_person"]
        noted = [f"strangler_{name}" for name in ("outbox", "applied", "quarantine", "backfill", "shape", "round", "sample")]
        for alias in (SOURCE, DESTINATION):
            with port(alias).applying() as cursor:
                port(alias).enter(cursor, "test", collections.for_context(CONTEXT, alias), [])
                for table in (*tables, *noted):  # a TRUNCATE of so many small tables takes longer
                    cursor.execute(f"DELETE FROM {table}")
                cursor.execute("DELETE FROM strangler_outbox")
                cursor.execute("UPDATE strangler_ownership SET epoch = 0, owner = 'monolith', operation = ''")
                cursor.execute(
                    "UPDATE strangler_stream SET state = 'live', lease_until = NULL, lease_holder = '', marker = 0, cursor = 0, "
                    "reason = '', last_error = '', failures = 0, retry_at = NULL, "
                    "verified_marker = 0, verified_at = NULL, verified_drift = NULL"
                )
        for stream in (CONTEXT, f"{CONTEXT}-copies", f"{CONTEXT}-reverse"):
            marker.forget(stream)
        self.service = Direct()

    def relay(self, stream: str = CONTEXT) -> int:
        return relay.run(stream, using=SOURCE, destination=self.service)

    def drain(self, stream: str = CONTEXT) -> None:
        wait_for(lambda: not self.relay(stream) or not outbox.depth(stream, SOURCE), "the drain of the stream")

    def pull(self) -> int:
        return reverse.run(f"{CONTEXT}-reverse", using=SOURCE, feed=self.service)

    def hand_over(self, owner: str, epoch: int, operation: str = "test") -> None:
        """Both sides say so, without the drain that a cut-over does."""
        for alias in (SOURCE, DESTINATION):
            ownership.change(CONTEXT, epoch=epoch, owner=owner, operation=operation, using=alias)

    def table(self, name: str, alias: str) -> dict[str, str]:
        """Key → the row as the wire has it."""
        with snapshot(alias) as cursor:
            collection = collections.find(CONTEXT, name, alias)
            return {key: text for key, text, _ in port(alias).rows_in(cursor, collection, "", [])}

    def assert_equal(self, *names: str) -> None:
        """Both sides have the same rows, in these collections or all."""
        own = [collection.name for collection in collections.for_context(CONTEXT, SOURCE)]
        for name in names or own:
            assert self.table(name, SOURCE) == self.table(name, DESTINATION), name

    def pointers(self, stream: str = CONTEXT, alias: str = SOURCE) -> list[tuple[str, str | None]]:
        return [
            tuple(row)
            for row in rows("SELECT collection, key FROM strangler_outbox WHERE stream = %s ORDER BY id", [stream], alias)
        ]

    def forget_pointers(self) -> None:
        for alias in (SOURCE, DESTINATION):
            rows("DELETE FROM strangler_outbox", using=alias)

    def stream(self, name: str = CONTEXT) -> dict[str, Any]:
        with connections[SOURCE].cursor() as cursor:
            cursor.execute("SELECT * FROM strangler_stream WHERE name = %s", [name])
            return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))

    def event(
        self, collection: str, key: str, version: tuple[int, int, int], data: dict[str, Any] | None, stream: str = CONTEXT
    ) -> Event:
        from strangler.domain.envelope import Op, Version

        return Event(stream, Op.DELETE if data is None else Op.UPSERT, collection, key, Version(*version), data)


@contextmanager
def closing(*opened: Any) -> Iterator[None]:
    try:
        yield
    finally:
        for connection in opened:
            connection.close()


__all__ = ["CONTEXT", "DESTINATION", "SOURCE", "Direct", "Estate", "Threads", "act_as", "batch", "closing", "connect", "wait_for"]
