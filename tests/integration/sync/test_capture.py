"""P1, P2, P5: every way to write notes a pointer in the writer's transaction, and only what is not an echo."""

from __future__ import annotations

import psycopg
import pytest
from django.db import transaction

from strangler import conf
from strangler.errors import StranglerError
from strangler.sync import capture, collections, ddl, install
from strangler.sync.database import port, rows, value
from tests.integration.sync.bank.models import Account, Code, Tag
from tests.integration.sync.estate import CONTEXT, SOURCE, closing, connect, is_waiting_for_a_lock, wait_for
from tests.integration.sync.servers import OURS, hold, lose_trigger, made_by_us


def noted(estate, stream: str = CONTEXT) -> list[tuple[str, str | None]]:
    found = estate.pointers(stream)
    estate.forget_pointers()
    return found


def test_p01_every_way_to_write_notes_each_key_once(estate):
    accounts = Account.objects.using(SOURCE)
    made = accounts.create(handle="saved")
    assert noted(estate) == [("bank.Account", str(made.pk))]
    bulk = accounts.bulk_create([Account(handle=f"bulk {n}") for n in range(3)])
    assert noted(estate) == [("bank.Account", str(account.pk)) for account in bulk]
    accounts.filter(handle__startswith="bulk").update(balance=5)
    assert sorted(noted(estate)) == sorted(("bank.Account", str(account.pk)) for account in bulk)
    word = Tag.objects.using(SOURCE).create(word="w")
    noted(estate)
    made.tags.add(word)
    (through,) = noted(estate)
    assert through[0] == "bank.Account_tags"
    key = str(made.pk)
    made.delete()
    assert set(noted(estate)) == {through, ("bank.Account", key)}
    with closing(program := connect(SOURCE)):
        program.execute("INSERT INTO bank_code (code, meaning) VALUES ('raw', NULL) ON CONFLICT DO NOTHING")
        program.execute("INSERT INTO bank_code (code) VALUES ('raw') ON CONFLICT (code) DO UPDATE SET meaning = 'm'")
    assert noted(estate) == [("bank.Code", "raw")] * 2


@pytest.mark.only("postgresql", "COPY and MERGE")
def test_p01_copy_and_merge_note_each_key_once(estate):
    with closing(program := connect(SOURCE)):
        program.execute("INSERT INTO bank_code (code) VALUES ('raw')")
        with program.cursor().copy("COPY bank_code (code, meaning) FROM STDIN") as copy:
            copy.write_row(("copied", "x"))
        program.execute(
            "MERGE INTO bank_code c USING (VALUES ('raw'), ('merged')) v(k) ON c.code = v.k "
            "WHEN MATCHED THEN UPDATE SET meaning = 'm' WHEN NOT MATCHED THEN INSERT (code) VALUES (v.k)"
        )
    assert sorted(noted(estate)) == [("bank.Code", key) for key in ("copied", "merged", "raw", "raw")]


def test_p01_a_rolled_back_write_notes_nothing(estate):
    with transaction.atomic(using=SOURCE):
        Code.objects.using(SOURCE).create(code="gone")
        assert estate.pointers()
        transaction.set_rollback(True, using=SOURCE)
    assert estate.pointers() == []


def test_p01_a_changed_key_is_noted_under_both_values(estate):
    Code.objects.using(SOURCE).create(code="old")
    estate.relay()
    Code.objects.using(SOURCE).filter(code="old").update(code="new")
    assert sorted(estate.pointers()) == [("bank.Code", "new"), ("bank.Code", "old")]
    estate.relay()
    estate.assert_equal("bank.Code")
    assert list(estate.table("bank.Code", "destination")) == ["new"]


@pytest.mark.only("postgresql", "settings of a session")
def test_p01_replica_role_sessions_are_captured_too(estate):
    """The apply of another stream runs as replica; a table that it writes may be mirrored onwards."""
    with closing(program := connect(SOURCE, session_replication_role="replica")):
        program.execute("INSERT INTO bank_code (code) VALUES ('as replica')")
    assert estate.pointers() == [("bank.Code", "as replica")]


@pytest.mark.only("postgresql", "partitions")
def test_p01_partitioned_tables_are_captured_at_the_parent_and_at_each_leaf(estate):
    with closing(program := connect(SOURCE)):
        program.execute("INSERT INTO bank_reading VALUES (1, 2025, 'by the parent')")
        program.execute("INSERT INTO bank_reading_2026 VALUES (2, 2026, 'by the leaf')")
        assert noted(estate) == [("bank.Reading", "[1, 2025]"), ("bank.Reading", "[2, 2026]")]
        program.execute("UPDATE bank_reading SET year = 2026 WHERE id = 1")
        assert sorted(noted(estate)) == [("bank.Reading", "[1, 2025]"), ("bank.Reading", "[1, 2026]")]


@pytest.mark.only("postgresql", "functions and search paths")
def test_p01_the_functions_run_with_their_owners_rights_and_a_path_of_their_own(estate):
    """So a role without rights on the outbox can go on writing, and a session's own names can't get in between."""
    found = rows(f"SELECT proname, prosecdef, proconfig FROM pg_proc WHERE {OURS}", using=SOURCE)
    assert len(found) > 8
    assert {(definer, *config) for _, definer, config in found} == {(True, "search_path=pg_catalog")}
    with closing(program := connect(SOURCE, search_path="pg_temp, public")):
        program.execute("CREATE TEMP TABLE strangler_outbox (LIKE public.strangler_outbox INCLUDING ALL)")
        program.execute("CREATE TEMP TABLE strangler_ownership (LIKE public.strangler_ownership INCLUDING ALL)")
        program.execute("INSERT INTO strangler_ownership VALUES ('bank', 'monolith', 9, 'service', '', now(), '', 0)")
        program.execute("INSERT INTO bank_code (code) VALUES ('hostile names')")
    assert estate.pointers() == [("bank.Code", "hostile names")]


@pytest.mark.only("postgresql", "TRUNCATE")
def test_p01_truncate_is_one_reset(estate):
    Code.objects.using(SOURCE).bulk_create([Code(code=str(n)) for n in range(5)])
    estate.relay()
    rows("TRUNCATE bank_code", using=SOURCE)
    assert estate.pointers() == [("bank.Code", None)]
    Code.objects.using(SOURCE).create(code="after")
    estate.drain()
    estate.assert_equal("bank.Code")
    assert list(estate.table("bank.Code", "destination")) == ["after"]


@pytest.mark.only("postgresql", "TRUNCATE")
def test_p01_truncating_one_partition_keeps_the_rows_of_the_others(estate):
    rows("INSERT INTO bank_reading VALUES (1, 2025, 'stays'), (2, 2026, 'goes')", using=SOURCE)
    estate.relay()
    rows("TRUNCATE bank_reading_2026", using=SOURCE)
    estate.drain()
    assert list(estate.table("bank.Reading", "destination")) == ["[1, 2025]"]
    estate.assert_equal("bank.Reading")


def test_p02_installing_does_not_queue_the_site_behind_a_lock(estate):
    """While a long transaction holds the table, the installer gives up its place in the queue again and again."""
    code = collections.for_stream(CONTEXT, SOURCE)["bank.Code"]
    capture.uninstall(code, SOURCE)
    try:
        with closing(reader := connect(SOURCE), writer := connect(SOURCE)):
            hold(reader, "bank_code")
            with pytest.raises(StranglerError, match="another transaction kept its lock"):
                ddl.run(capture.statements(code, SOURCE), "installing", using=SOURCE, lock_timeout_ms=50, patience_s=0.3)
            reader.execute("ROLLBACK")
            writer.execute("INSERT INTO bank_code (code) VALUES ('never blocked for long')")
    finally:
        assert capture.install(code, SOURCE)
    assert not capture.install(code, SOURCE), "installing again does nothing"


def test_p02_a_table_that_lost_its_trigger_is_found(estate):
    code = collections.for_stream(CONTEXT, SOURCE)["bank.Code"]
    assert install.missing(CONTEXT, SOURCE) == []
    lose_trigger("strangler_capture_update", SOURCE)
    try:
        assert install.missing(CONTEXT, SOURCE) == ["bank_code is not captured"]
    finally:
        capture.install(code, SOURCE)
    assert install.missing(CONTEXT, SOURCE) == []


def test_p02_uninstall_leaves_nothing_behind(estate):
    conf.load.cache_clear()
    install.uninstall(CONTEXT, using=SOURCE)
    try:
        left = made_by_us(SOURCE)
        tables = ("outbox", "subscription", "stream", "ownership", "applied", "backfill", "quarantine", "loose_key")
        held = {table: value(f"SELECT count(*) FROM strangler_{table}", using=SOURCE) for table in tables}
        assert (left, held) == ([], dict.fromkeys(tables, 0))
        Code.objects.using(SOURCE).create(code="free again")
        assert estate.pointers() == []
    finally:
        estate.install()


def test_p02_the_printed_sql_does_the_same(estate):
    install.uninstall(CONTEXT, using=SOURCE)
    try:
        made = install.statements(CONTEXT, SOURCE)
        with closing(dba := connect(SOURCE)):
            for statement in made:
                dba.execute(statement)
        install.install(CONTEXT, using=SOURCE)
        assert install.missing(CONTEXT, SOURCE) == []
    finally:
        estate.install()


def test_p05_a_change_applied_from_a_stream_is_no_news_to_it_but_to_others(estate):
    rows("INSERT INTO strangler_subscription (stream, collection) VALUES ('another', 'bank.Code')", using=SOURCE)
    try:
        with port(SOURCE).applying() as cursor:
            port(SOURCE).enter(cursor, CONTEXT, [], [])
            Code.objects.using(SOURCE).create(code="echo")
        assert estate.pointers() == []
        assert estate.pointers("another") == [("bank.Code", "echo")]
    finally:
        rows("DELETE FROM strangler_subscription WHERE stream = 'another'", using=SOURCE)


@pytest.mark.only("postgresql", "settings of a session")
def test_p05_an_origin_that_was_set_and_is_over_reads_as_unset(estate):
    """After ``SET LOCAL`` PostgreSQL answers '' and not NULL for the rest of the session."""
    with closing(program := connect(SOURCE)):
        with program.transaction():
            program.execute(f"SET LOCAL strangler.origin = '{CONTEXT}'")
        assert program.execute("SELECT current_setting('strangler.origin', true)").fetchone() == ("",)
        program.execute("INSERT INTO bank_code (code) VALUES ('ordinary')")
    assert estate.pointers() == [("bank.Code", "ordinary")]


@pytest.mark.only("postgresql", "locks of tables")
def test_p01_a_writer_from_before_the_trigger_is_waited_for(estate, threads):
    """CREATE TRIGGER needs a lock that conflicts with every writer's: what was written without it is committed by then."""
    code = collections.for_stream(CONTEXT, SOURCE)["bank.Code"]
    capture.uninstall(code, SOURCE)
    with closing(early := connect(SOURCE), installer := connect(SOURCE)):
        early.execute("BEGIN")
        early.execute("INSERT INTO bank_code (code) VALUES ('early')")
        pid = installer.info.backend_pid

        def make() -> None:
            with installer.transaction():
                for statement in capture.statements(code, SOURCE):
                    installer.execute(psycopg.sql.SQL(statement))

        threads.start(make)
        wait_for(lambda: is_waiting_for_a_lock(SOURCE, pid), "the installer waiting")
        early.execute("COMMIT")
        threads.join()
        early.execute("UPDATE bank_code SET meaning = 'm'")
    assert estate.pointers() == [("bank.Code", "early")]


def test_p02_a_system_check_names_the_table_and_the_command(estate):
    from strangler.sync.checks import check_tables

    assert check_tables(databases=[SOURCE]) == []
    assert check_tables(databases=None) == []
    lose_trigger("strangler_fence", SOURCE)
    rows("CREATE TABLE spare AS SELECT * FROM bank_pair WHERE false", using=SOURCE)
    rows("ALTER TABLE bank_pair RENAME TO kept", using=SOURCE)
    rows("ALTER TABLE spare RENAME TO bank_pair", using=SOURCE)
    collections.forget()
    try:
        assert [(message.id, message.msg) for message in check_tables(databases=[SOURCE])] == [
            (
                "strangler.E030",
                "contexts.bank: the table bank_pair of bank.Pair has no primary key and can't be mirrored; "
                "give it one, or a unique index over columns that are not null",
            )
        ]
        rows("DROP TABLE bank_pair", using=SOURCE)
        rows("ALTER TABLE kept RENAME TO bank_pair", using=SOURCE)
        collections.forget()
        (found,) = check_tables(databases=[SOURCE])
        assert (found.id, found.msg, found.hint) == (
            "strangler.W031",
            "contexts.bank: bank_code is not fenced",
            "Run: strangler sync install bank",
        )
    finally:
        collections.forget()
        install.install(CONTEXT, using=SOURCE)
