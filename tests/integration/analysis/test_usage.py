"""The recorder in a real monolith: what it sees, to whom it gives it, and what it does when things go wrong."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from celery import shared_task
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import AsyncClient, Client
from psycopg import sql as composing

from monolith.payments.models import Payment
from strangler.analysis.usage import flushing, storing, units
from strangler.analysis.usage.models import Usage, UsageSpan
from strangler.analysis.usage.statements import record
from strangler.analysis.usage.tally import MOST, Seen, Source
from strangler.management import cli
from strangler.sync.models import Ownership
from tests.integration.analysis.conftest import Recorder, forget
from tests.integration.analysis.views import TOUCH
from tests.integration.seams.shop import client_of, make_order, make_payment, make_user

T = "payments_payment"


@shared_task(name="tests.touch")
def touch() -> None:
    Payment.objects.update(method="ok")


def run(source: str, kind: str, work: Callable[[], Any], home: str = "") -> None:
    unit = units.begin(units.Unit(kind, source, home))
    try:
        work()
    finally:
        units.end(unit)


# ---- to whom it belongs ----------------------------------------------------------------------------------------------


def test_a_foreign_request_is_named_by_method_and_url_pattern(recorder: Recorder) -> None:
    client = Client()
    assert client.post("/write/").status_code == 200
    assert client.get("/orders/7/read/").status_code == 200
    assert client.get("/orders/8/read/").status_code == 200
    assert client.get("/by/2026/").status_code == 200
    assert recorder.rows() == {
        ("write", T, "request", "POST /write/"): 1,
        ("read", T, "request", "GET /orders/<int:pk>/read/"): 2,
        ("read", T, "request", "GET /by/(?P<year>[0-9]{4})/"): 1,
    }


def test_a_request_of_the_context_itself_is_a_hit_and_its_statements_are_no_news(recorder: Recorder) -> None:
    client_of(make_user()).get("/api/payments/")
    assert recorder.rows() == {("hit", "", "request", "GET /api/payments/"): 1}


def test_once_it_has_moved_its_own_statements_are_news_too(transactional_db: None, recorder: Recorder) -> None:
    Ownership.objects.create(context="payments", epoch=1, owner="service", operation="x")
    client_of(make_user()).get("/api/payments/")
    assert ("read", T, "request", "GET /api/payments/") in recorder.rows()
    assert set(Usage.objects.filter(context="payments").values_list("own", flat=True)) == {True}


def test_an_admin_page_belongs_to_the_context_of_its_model(recorder: Recorder) -> None:
    client_of(make_user(is_staff=True, is_superuser=True)).get("/admin/payments/payment/")
    assert recorder.rows() == {("hit", "", "request", "GET /admin/payments/payment/"): 1}


def test_a_generic_view_belongs_to_nobody_here(recorder: Recorder) -> None:
    Client(raise_request_exception=False).get("/plain/")
    assert recorder.rows() == {}


def test_a_request_that_is_answered_by_no_view_has_no_pattern(recorder: Recorder) -> None:
    Client().get("/nothing/here/")
    recorder.flush()
    assert not Usage.objects.filter(source__contains="nothing").exists()


def test_a_view_that_fails_has_written_all_the_same(recorder: Recorder) -> None:
    Client(raise_request_exception=False).post("/fails/")
    assert recorder.writes() == {"POST /fails/": 1}


def test_a_streamed_answer_reads_on_behalf_of_its_request(transactional_db: None, recorder: Recorder) -> None:
    answer = Client().get("/streamed/")
    assert b"".join(answer).startswith(b"payments: ")
    answer.close()
    assert recorder.rows() == {("read", T, "request", "GET /streamed/"): 1}
    assert units.current() is units.UNKNOWN


@pytest.mark.parametrize("path", ["async", "async-thread"])
def test_an_async_view_and_its_threads(transactional_db: None, recorder: Recorder, path: str) -> None:
    async def ask() -> list[int]:
        answers = await asyncio.gather(*(AsyncClient().get(f"/{path}/") for _ in range(3)))
        await sync_to_async(connections.close_all)()
        return [answer.status_code for answer in answers]

    assert async_to_sync(ask)() == [200, 200, 200]
    assert recorder.rows() == {("read", T, "request", f"GET /{path}/"): 3}


def test_a_task_is_named_and_one_that_it_calls_within_is_named_too(recorder: Recorder) -> None:
    touch.apply()
    assert recorder.rows() == {("write", T, "task", "tests.touch"): 1}
    run("outer", "task", lambda: (touch.apply(), Payment.objects.update(method="ok")))
    assert recorder.writes() == {"tests.touch": 2, "outer": 1}


def test_a_command_is_named_and_one_that_code_calls_belongs_to_the_code(recorder: Recorder) -> None:
    make_payment(make_order())
    recorder.flush()
    forget()
    call_command("check_ledger", verbosity=0)
    assert set(recorder.rows()) == set(), "a command of the context itself"
    call_command("expire_unpaid", verbosity=0)
    assert all(kind == "command" and source == "expire_unpaid" for _, _, kind, source in recorder.rows())
    run("outer", "task", lambda: call_command("dumpdata", "payments", verbosity=0, output="/dev/null"))
    assert ("read", T, "task", "outer") in recorder.rows()


def test_what_has_no_unit_is_not_known(recorder: Recorder) -> None:
    thread = threading.Thread(target=lambda: (Payment.objects.update(method="ok"), connection.close()))
    thread.start()
    thread.join()
    assert recorder.rows() == {("write", T, "unknown", ""): 1}


def test_what_the_product_does_for_itself_is_left_out(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    with units.ours():
        Payment.objects.update(method="ok")
    assert cli.run(["usage", "payments", "--json"]) == 0
    assert cli.run(["sync", "coverage", "payments", "--json"]) in (0, 1), "writes each table, and rolls it back"
    assert recorder.rows() == {}


# ---- through the seam -------------------------------------------------------------------------------------------------


def through(recorder: Recorder) -> list[tuple[str, bool]]:
    recorder.flush()
    return sorted(Usage.objects.filter(context="payments", access="write").values_list("source", "through"))


def test_p27_a_claim_holds_for_its_transaction_and_what_is_nested_in_it(transactional_db: None, recorder: Recorder) -> None:
    Ownership.objects.create(context="payments", epoch=1, owner="monolith", operation="x")
    Client().post("/claimed/")
    Client().post("/claimed-and-after/")
    assert through(recorder) == [
        ("POST /claimed-and-after/", False),
        ("POST /claimed-and-after/", True),
        ("POST /claimed/", True),
    ]


def test_p27_a_write_through_a_seam_is_no_foreign_writer(transactional_db: None, recorder: Recorder) -> None:
    Client().post("/seam/")
    assert through(recorder) == [("POST /seam/", True)]


# ---- what is seen -----------------------------------------------------------------------------------------------------


def _many() -> None:
    with connection.cursor() as cursor:
        cursor.executemany(f"{TOUCH} WHERE id = %s", [[1], [2], [3]])


def _composed() -> None:
    statement = composing.SQL("DELETE FROM {} WHERE id = {}").format(composing.Identifier(T), composing.Placeholder())
    with connection.cursor() as cursor:
        cursor.execute(statement, [0])


def _named() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"{TOUCH} WHERE id = %(id)s AND id %% 2 = 0", {"id": 1})


def _copy() -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {T} (id) FROM STDIN") as copy:
        assert copy is not None


def _nested() -> None:
    with transaction.atomic(), transaction.atomic(), transaction.atomic():
        Payment.objects.update(method="ok")


def _common_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"WITH gone AS (DELETE FROM public.{T} WHERE id = 0 RETURNING id) SELECT * FROM gone")


def _quoted() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'UPDATE "public"."{T}" AS p SET method = p.method')


@pytest.mark.parametrize("how", [_many, _composed, _named, _copy, _nested, _common_table, _quoted])
def test_a_write_is_seen_however_it_is_made(recorder: Recorder, how: Callable[[], None]) -> None:
    run("writer", "task", how)
    assert recorder.rows()[("write", T, "task", "writer")] == 1


def test_a_server_side_cursor_is_seen_once(recorder: Recorder) -> None:
    run("reader", "task", lambda: list(Payment.objects.iterator(chunk_size=1)))
    assert recorder.rows() == {("read", T, "task", "reader"): 1}


def test_a_copy_that_goes_out_is_a_read(recorder: Recorder) -> None:
    def out() -> None:
        with connection.cursor() as cursor, cursor.copy(f"COPY (SELECT id FROM {T}) TO STDOUT") as copy:
            assert list(copy) == []

    run("reader", "task", out)
    assert recorder.rows() == {("read", T, "task", "reader"): 1}


def test_cursors_have_what_their_driver_has_and_no_more(recorder: Recorder) -> None:
    with connection.cursor() as cursor:
        assert hasattr(cursor, "copy")
        assert not hasattr(cursor, "copy_expert"), "psycopg 3 has none"


def test_what_can_not_be_read_is_counted_as_unclear_and_runs_as_ever(recorder: Recorder) -> None:
    def do() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN DELETE FROM {T}; END $$")

    run("doer", "task", do)
    assert recorder.rows() == {("unclear", T, "task", "doer"): 1}


def test_an_object_that_stands_for_sql_and_fails_is_not_our_error(recorder: Recorder) -> None:
    class Odd:
        def __str__(self) -> str:
            raise ZeroDivisionError

    with connection.cursor() as cursor, pytest.raises(Exception) as raised:
        cursor.execute(Odd())  # type: ignore[arg-type]
    assert "ZeroDivisionError" not in repr(raised.traceback[-1])
    recorder.flush()
    assert UsageSpan.objects.get().lost == 1, "a statement that could not be noted is a loss"


def test_other_wrappers_come_and_go_and_the_recorder_stays(recorder: Recorder) -> None:
    """Django's context manager takes the last wrapper away; the recorder came while it was open."""

    def other(execute: Any, *args: Any) -> Any:
        return execute(*args)

    fresh = connections.create_connection("default")
    try:
        with fresh.execute_wrapper(other):
            fresh.connect()
        assert fresh.execute_wrappers == [record]
    finally:
        fresh.close()


# ---- adding up --------------------------------------------------------------------------------------------------------


def test_many_threads_add_up_to_every_statement(recorder: Recorder) -> None:
    threads, each, barrier = 8, 60, threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        run(f"worker {number % 2}", "task", lambda: [Payment.objects.update(method="ok") for _ in range(each)])
        connection.close()

    started = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    while any(thread.is_alive() for thread in started):
        recorder.flush()  # in the midst of it
    for thread in started:
        thread.join()
    assert recorder.writes() == {"worker 0": threads * each // 2, "worker 1": threads * each // 2}


def test_a_unit_that_never_ends_is_flushed_all_the_same(recorder: Recorder) -> None:
    unit = units.begin(units.Unit("command", "consumer"))
    try:
        Payment.objects.update(method="ok")
        assert recorder.writes() == {"consumer": 1}
        Payment.objects.update(method="ok")
        assert recorder.writes() == {"consumer": 2}
    finally:
        units.end(unit)
    assert recorder.writes() == {"consumer": 2}


def test_what_outlives_its_unit_still_belongs_to_it(recorder: Recorder) -> None:
    ended, done = threading.Event(), threading.Event()

    def later() -> None:
        ended.wait(10)
        Payment.objects.update(method="ok")
        connection.close()
        done.set()

    run("starter", "task", lambda: threading.Thread(target=contextvars.copy_context().run, args=(later,)).start())
    ended.set()
    assert done.wait(10)
    assert recorder.writes() == {"starter": 1}
    assert units.current() is units.UNKNOWN


def test_two_processes_add_up(recorder: Recorder) -> None:
    """Two stores of the same rows, at once and in the opposite order, as two processes would."""
    source, table = "POST /x/", "payments_refund"
    rows = {storing.Row("payments", "write", name, "request", source, False, False): 1 for name in (T, table)}
    barrier = threading.Barrier(2)

    def work(given: dict[storing.Row, int]) -> None:
        barrier.wait()
        for _ in range(20):
            storing.store(given, roles=["web"], lost=0, prune=False)

    started = [threading.Thread(target=work, args=(one,)) for one in (rows, dict(reversed(rows.items())))]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert list(Usage.objects.order_by("table").values_list("count", flat=True)) == [40, 40]


def test_a_dead_database_loses_nothing_that_memory_has_room_for(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    run("writer", "task", lambda: Payment.objects.update(method="ok"))
    settings = connections.settings["default"]
    with monkeypatch.context() as away:
        away.setitem(settings, "PORT", "9")
        with units.ours():
            assert not flushing.flush()
            assert not flushing.flush()
    run("writer", "task", lambda: Payment.objects.update(method="ok"))
    assert recorder.writes() == {"writer": 2}
    assert not UsageSpan.objects.filter(lost__gt=0).exists()


def test_what_memory_has_no_room_for_is_said_to_be_lost(recorder: Recorder) -> None:
    source = Source("task", "writer", "")
    flushing._tally.add(
        source, (Seen("postgresql", f"SELECT {number} FROM t{number}", frozenset()) for number in range(MOST + 5))
    )
    recorder.flush()
    assert UsageSpan.objects.get(lost__gt=0).lost == 5
    recorder.flush()
    assert UsageSpan.objects.count() == 1, "said once"


def test_a_forked_child_begins_anew(recorder: Recorder) -> None:
    run("writer", "task", lambda: Payment.objects.update(method="ok"))
    flushing._begin_anew()  # what `os.fork` calls in the child
    assert recorder.writes() == {}


def test_spans_of_recording_are_prolonged_and_begin_anew_after_a_gap(transactional_db: None, recorder: Recorder) -> None:
    storing.store({}, roles=["web"], lost=0, prune=False)
    storing.store({}, roles=["web", "worker"], lost=0, prune=False)
    assert sorted(UsageSpan.objects.values_list("role", flat=True)) == ["web", "worker"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_usage_span SET began = began - interval '3 h', until = until - interval '2 h'")
    storing.store({}, roles=["web"], lost=0, prune=False)
    assert UsageSpan.objects.filter(role="web").count() == 2
    seen = storing.recording()
    assert seen.covers_s("web") == pytest.approx(0, abs=60)
    assert seen.covers_s("worker") is None


def test_old_rows_are_pruned(transactional_db: None, recorder: Recorder) -> None:
    row = storing.Row("payments", "write", T, "request", "POST /x/", False, False)
    storing.store({row: 1}, roles=["web"], lost=0, prune=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_usage SET hour = hour - interval '100 days'")
        cursor.execute("UPDATE strangler_usage_span SET began = began - interval '100 days', until = until - interval '99 days'")
    storing.store({row: 1}, roles=["web"], lost=0, prune=True)
    assert Usage.objects.get().count == 1
    assert UsageSpan.objects.count() == 1


def test_a_process_that_ends_has_stored_what_it_saw(transactional_db: None, recorder: Recorder) -> None:
    """A process of its own, with the recorder's thread and its end as they are everywhere."""
    given = connection.settings_dict
    host = f"{given['HOST']}:{given['PORT']}/{given['NAME']}"
    environment = {**os.environ, "DATABASE_URL": f"postgres://{given['USER']}:{given['PASSWORD']}@{host}"}
    code = """import django; django.setup()
from strangler.analysis.usage import flushing, units
from monolith.payments.models import Payment
flushing.start("web")
unit = units.begin(units.Unit("task", "in a process"))
Payment.objects.update(method="ok")
"""
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=os.getcwd(), timeout=60)
    assert recorder.rows() == {("write", T, "task", "in a process"): 1}
    assert [span.role for span in UsageSpan.objects.all()] == ["web"]


def test_the_hour_is_a_whole_one_in_utc(recorder: Recorder) -> None:
    storing.store({storing.Row("payments", "hit", "", "request", "GET /x/", False, True): 1}, roles=[], lost=0, prune=False)
    hour = Usage.objects.get().hour
    assert (hour.minute, hour.second, hour.microsecond) == (0, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_tables_that_a_test_suite_truncates_are_given_up_before_there_is_a_deadlock(recorder: Recorder) -> None:
    """The suite would lose it as often as the recorder; what was to be stored is stored later."""
    run("writer", "task", lambda: Payment.objects.update(method="ok"))
    holder = connections.create_connection("default")
    try:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE strangler_usage, strangler_usage_span IN ACCESS EXCLUSIVE MODE")
            with units.ours():
                assert not flushing.flush()
        holder.rollback()
    finally:
        holder.close()
    assert recorder.writes() == {"writer": 1}
