"""The project's migrations on mirrored tables: they keep working, writers never fail, and both sides are equal afterwards (P3).

Django's own operations run in Django's own executor, on a table of this module, while a program writes and the relay carries.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest
from django.apps import apps
from django.db import connections, migrations, models
from django.db.migrations.state import ProjectState
from django.db.models.functions import Now

from strangler.control import observe
from strangler.domain import gates
from strangler.errors import StranglerError
from strangler.sync import backfill, capture, collections, drift, follow, install, shape
from strangler.sync.database import rows, value
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect, wait_for
from tests.integration.sync.servers import lose_trigger

LABEL = "bank.Moving"


class Moving:
    """A model of the bank whose table is migrated on both sides; Django knows the class of the newest state."""

    def __init__(self, estate) -> None:
        self.estate, self.state, self.known = estate, ProjectState(), None
        self.migrate(
            migrations.CreateModel(
                "Moving",
                [
                    ("id", models.BigAutoField(primary_key=True)),
                    ("code", models.TextField(unique=True)),
                    ("amount", models.IntegerField(default=0)),
                ],
            )
        )

    def migrate(self, *operations: migrations.operations.base.Operation, sides: tuple[str, ...] = (DESTINATION, SOURCE)) -> None:
        """On each side in one transaction, then what ``post_migrate`` does on the monolith."""
        before = self.state
        for alias in sides:
            state = before
            with connections[alias].schema_editor(atomic=True) as editor:
                for operation in operations:
                    after = state.clone()
                    operation.state_forwards("bank", after)
                    operation.database_forwards("bank", editor, state, after)
                    state = after
            self.state = state
        self.know()
        follow.after_migrate(using=SOURCE)

    def know(self) -> None:
        """The code of the newest state is deployed: its class is the one in the registry."""
        self.forget()
        for state in self.state.models.values():
            body = {name: field.clone() for name, field in state.fields.items()}
            meta = type("Meta", (), {"app_label": "bank", **{k: v for k, v in state.options.items() if k == "db_table"}})
            made = {"__module__": "tests.integration.sync.bank.models", "Meta": meta, **body}
            self.known = [*(self.known or []), type(state.name, (models.Model,), made)]
        collections.forget()

    def forget(self) -> None:
        for model in self.known or []:
            apps.all_models["bank"].pop(model._meta.model_name, None)
        self.known = None
        apps.clear_cache()

    def leave(self) -> None:
        self.forget()
        collections.forget()
        rows("DELETE FROM strangler_subscription WHERE collection LIKE 'bank.Mov%'", using=SOURCE)
        for table in ("shape", "backfill"):
            rows(f"DELETE FROM strangler_{table}", using=SOURCE)
        for alias in (SOURCE, DESTINATION):
            cascade = " CASCADE" if connections[alias].vendor == "postgresql" else ""
            for table in ("bank_moving", "bank_moved", "elsewhere"):
                rows(f"DROP TABLE IF EXISTS {table}{cascade}", using=alias)
            capture.prune(alias)

    def settle(self) -> None:
        """Until every backfill is through and the stream is empty."""

        def is_settled() -> bool:
            rows("UPDATE strangler_stream SET retry_at = NULL", using=SOURCE)
            with contextlib.suppress(StranglerError, Exception):
                self.estate.relay()
            while backfill.unfinished(CONTEXT, SOURCE) and self.step():
                self.estate.relay()
            return not backfill.unfinished(CONTEXT, SOURCE) and not self.estate.pointers()

        wait_for(is_settled, "the backfill's end", 20)

    def step(self) -> bool:
        return backfill.step(CONTEXT, SOURCE)

    def equal(self) -> None:
        for model in self.known or []:
            self.estate.assert_equal(model._meta.label)
        assert drift.check(CONTEXT, [m._meta.label for m in self.known], using=SOURCE, client=self.estate.service).differing == []


def _failure(program: psycopg.Connection, statement: str) -> str:
    """Where in the database a statement failed, if it did: a column of its own may be gone, or be demanded."""
    try:
        program.execute(statement.encode())
    except psycopg.Error as error:
        return str(error.diag.context)
    return ""


@pytest.fixture
def moving(estate, monkeypatch) -> Iterator[Moving]:
    monkeypatch.setattr("strangler.sync.client.ServiceClient", lambda *_, **__: estate.service)
    made = Moving(estate)
    try:
        backfill.start(CONTEXT, using=SOURCE)
        rows("UPDATE strangler_backfill SET state = 'done'", using=SOURCE)  # there is nothing in any table yet
        yield made
    finally:
        made.leave()


def fill(count: int) -> None:
    for n in range(1, count + 1):
        rows("INSERT INTO bank_moving (code, amount) VALUES (%s, %s)", [str(n), n], SOURCE)


def _add(name: str, field: models.Field) -> migrations.AddField:
    return migrations.AddField("Moving", name, field)


CHANGES = {
    "columns that come, with data": [
        _add("maybe", models.TextField(null=True)),
        _add("seven", models.IntegerField(default=7)),
        _add("at", models.DateTimeField(db_default=Now())),
        migrations.RunSQL("UPDATE bank_moving SET maybe = code, amount = amount + 1"),
    ],
    "columns that change": [
        migrations.AlterField("Moving", "amount", models.DecimalField(max_digits=9, decimal_places=2)),
        migrations.AddIndex("Moving", models.Index(fields=["amount"], name="moving_amount")),
        migrations.AlterUniqueTogether("Moving", {("code", "amount")}),
        migrations.RenameField("Moving", "code", "word"),
    ],
    "a column that goes": [migrations.RemoveField("Moving", "amount")],
    "another name": [migrations.RenameModel("Moving", "Moved"), migrations.AlterModelTable("Moved", "elsewhere")],
    "another name of the key": [
        migrations.RenameField("Moving", "id", "number"),
        migrations.RunSQL("UPDATE bank_moving SET amount = 9"),
    ],
    "another type of the key": [migrations.AlterField("Moving", "id", models.TextField(primary_key=True))],
    "another key": [
        migrations.RemoveField("Moving", "id"),
        migrations.AlterField("Moving", "code", models.TextField(primary_key=True)),
    ],
}


@pytest.mark.only("postgresql", "writers beside a migration")
@pytest.mark.parametrize("change", CHANGES)
def test_p03_a_migration_of_a_mirrored_table_keeps_working(moving, threads, change):
    """A program writes all the time, in one connection that prepared its triggers before; none of its statements fails."""
    fill(50)
    moving.settle()
    done, wrote, tries = threading.Event(), threading.Event(), iter(range(1000, 1_000_000))

    def write() -> None:
        columns = {"a column that goes": "code", "another key": "code, amount", "another type of the key": "id, code, amount"}
        with closing(program := connect(SOURCE)):
            while not done.is_set():
                number = str(next(tries))
                named = columns.get(change, "code, amount")
                values = ", ".join([f"'{number}'"] * len(named.split(",")))
                for statement in (
                    f"INSERT INTO bank_moving ({named}) VALUES ({values})",
                    "UPDATE bank_moving SET code = code || 'x' WHERE code IN ('1', '1x')",
                ):
                    if failure := _failure(program, statement):
                        assert "strangler" not in failure, "a trigger failed, and with it the program's statement"
                wrote.set()

    threads.start(write)
    assert wrote.wait(10)
    moving.migrate(*CHANGES[change])
    wrote.clear()
    assert wrote.wait(10)
    done.set()
    threads.join()
    moving.settle()
    assert install.missing(CONTEXT, SOURCE) == []
    moving.equal()


def test_p03_drift_is_unknown_until_the_backfill_is_through(moving, settings_of_source):
    fill(5)
    moving.settle()
    drift.check(CONTEXT, using=SOURCE, client=moving.estate.service)
    judged = lambda: gates.drift(CONTEXT, [observe.drift_of(CONTEXT)], max_age_s=60).state  # noqa: E731
    assert judged() is gates.State.PASS
    moving.migrate(_add("extra", models.IntegerField(default=7)))
    assert judged() is gates.State.UNKNOWN
    drift.check(CONTEXT, using=SOURCE, client=moving.estate.service)
    assert judged() is gates.State.UNKNOWN, "a check of before the backfill's end says nothing"
    moving.settle()
    drift.check(CONTEXT, using=SOURCE, client=moving.estate.service)
    assert judged() is gates.State.PASS


@pytest.fixture
def settings_of_source(estate):
    """The gates look at the alias ``STRANGLER['DATABASE']``, which is the source here."""
    return estate


@pytest.mark.only("postgresql", "ALTER of a type by hand")
def test_p03_the_relay_itself_sees_another_shape(moving, caplog):
    """DDL that no migration did: the catalogue's answer is another one, and rows without a pointer travel again."""
    fill(5)
    moving.settle()
    for alias in (DESTINATION, SOURCE):
        rows("ALTER TABLE bank_moving ADD COLUMN made_by_hand int DEFAULT 3", using=alias)
    rows("ALTER TABLE bank_moving ALTER amount TYPE bigint USING amount * 2", using=SOURCE)
    rows("ALTER TABLE bank_moving ALTER amount TYPE bigint", using=DESTINATION)
    collections.forget()
    moving.estate.relay()
    assert f"shape.changed stream={CONTEXT} collection={LABEL}" in caplog.text
    moving.settle()
    moving.equal()


def test_p03_a_worker_that_believes_an_older_catalogue_leaves_no_column_out(moving):
    """Another process has seen the new column and asked for the backfill; this one was told of the table a moment before."""
    rows("INSERT INTO bank_moving (code, amount) VALUES ('a', 1)", using=SOURCE)
    moving.settle()
    collections.for_stream(CONTEXT, SOURCE)
    believed = dict(collections._cache)
    moving.migrate(_add("extra", models.IntegerField(null=True)))
    rows("UPDATE bank_moving SET extra = 5", using=SOURCE)
    collections._cache.update(believed)
    moving.settle()
    assert rows("SELECT extra FROM bank_moving", using=DESTINATION) == [(5,)]


def test_p03_a_tick_with_older_code_takes_no_subscription_away(moving):
    made = migrations.CreateModel("Moved", [("id", models.BigAutoField(primary_key=True)), ("a", models.IntegerField())])
    moving.migrate(made)
    newer = apps.all_models["bank"].pop("moved")
    apps.clear_cache()
    lose_trigger("strangler_capture_update", SOURCE)  # so that it has something to install
    follow.follow(SOURCE)
    assert install.missing(CONTEXT, SOURCE) == []
    apps.all_models["bank"]["moved"] = newer
    apps.clear_cache()
    assert rows("SELECT 1 FROM strangler_subscription WHERE collection = 'bank.Moved'", using=SOURCE) == [(1,)]


def test_p03_only_the_changed_collection_is_backfilled_and_once(moving):
    moving.migrate(_add("extra", models.IntegerField(default=7)))
    assert rows("SELECT collection FROM strangler_backfill WHERE state <> 'done'", using=SOURCE) == [(LABEL,)]
    moving.settle()
    assert shape.look(CONTEXT, using=SOURCE) == []
    follow.follow(SOURCE)
    assert not shape.is_pending(CONTEXT, SOURCE)


@pytest.mark.only("postgresql", "functions of triggers")
def test_p03_a_collection_that_is_new_is_captured_and_backfilled(moving):
    made = migrations.CreateModel("Moved", [("id", models.BigAutoField(primary_key=True)), ("a", models.IntegerField())])
    filled = migrations.RunSQL("INSERT INTO bank_moved (a) VALUES (1), (2), (3), (4), (5)", migrations.RunSQL.noop)
    moving.migrate(made, filled)
    moving.settle()
    moving.equal()
    assert len(moving.estate.table("bank.Moved", DESTINATION)) == 5
    moving.migrate(migrations.DeleteModel("Moved"))
    assert install.missing(CONTEXT, SOURCE) == []
    assert not value("SELECT EXISTS (SELECT FROM pg_proc WHERE proname = 'strangler_capture_bank_moved')", using=SOURCE)


def test_p03_a_worker_with_older_code_keeps_what_it_does_not_know(moving):
    """Migrated first, deployed later: pointers of a new collection must wait for a worker that knows it."""
    made = migrations.CreateModel("Moved", [("id", models.BigAutoField(primary_key=True)), ("a", models.IntegerField())])
    moving.migrate(made)
    moving.settle()
    rows("INSERT INTO bank_moved (a) VALUES (1)", using=SOURCE)
    model = apps.all_models["bank"].pop("moved")
    apps.clear_cache()
    collections.forget()
    with pytest.raises(StranglerError, match=r"knows no bank\.Moved, which the database has; restart the workers"):
        moving.estate.relay()
    assert moving.estate.pointers() == [("bank.Moved", "1")]
    apps.all_models["bank"]["moved"] = model
    apps.clear_cache()
    moving.settle()
    moving.equal()


@pytest.mark.only("postgresql", "partitions")
def test_p03_a_partition_that_is_attached_brings_its_rows(estate, monkeypatch):
    monkeypatch.setattr("strangler.sync.client.ServiceClient", lambda *_, **__: estate.service)
    backfill.start(CONTEXT, ["bank.Reading"], SOURCE)
    while backfill.unfinished(CONTEXT, SOURCE):
        backfill.step(CONTEXT, SOURCE)
        estate.relay()
    try:
        rows("CREATE TABLE bank_reading_2028 PARTITION OF bank_reading FOR VALUES IN (2028)", using=SOURCE)
        rows("CREATE TABLE bank_reading_2028 PARTITION OF bank_reading FOR VALUES IN (2028)", using=DESTINATION)
        rows("CREATE TABLE bank_reading_2027 (LIKE bank_reading INCLUDING ALL)", using=SOURCE)
        rows("INSERT INTO bank_reading_2027 SELECT n, 2027, 'attached' FROM generate_series(1, 3) n", using=SOURCE)
        rows("CREATE TABLE bank_reading_2027 PARTITION OF bank_reading FOR VALUES IN (2027)", using=DESTINATION)
        collections.forget()
        assert shape.look(CONTEXT, using=SOURCE) == [], "an empty one, made in advance, brings nothing"
        rows("ALTER TABLE bank_reading ATTACH PARTITION bank_reading_2027 FOR VALUES IN (2027)", using=SOURCE)
        assert install.missing(CONTEXT, SOURCE) == ["bank_reading is not captured", "bank_reading is not fenced"]
        follow.follow(SOURCE)
        assert install.missing(CONTEXT, SOURCE) == []
        rows("INSERT INTO bank_reading_2027 VALUES (9, 2027, 'by the leaf')", using=SOURCE)
        while backfill.unfinished(CONTEXT, SOURCE):
            backfill.step(CONTEXT, SOURCE)
            estate.relay()
        estate.assert_equal("bank.Reading")
        rows("ALTER TABLE bank_reading DETACH PARTITION bank_reading_2027", using=SOURCE)
        follow.follow(SOURCE)
        while backfill.unfinished(CONTEXT, SOURCE):
            backfill.step(CONTEXT, SOURCE)
            estate.relay()
        estate.drain()
        assert estate.table("bank.Reading", DESTINATION) == {}
    finally:
        for alias in (SOURCE, DESTINATION):
            rows("DROP TABLE IF EXISTS bank_reading_2027, bank_reading_2028", using=alias)
        collections.forget()


def test_a_migration_never_fails_for_us(moving, monkeypatch, caplog):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("whatever it is")

    monkeypatch.setattr(follow, "follow", fail)
    follow.after_migrate(using=SOURCE)
    assert "whatever it is" in caplog.text
