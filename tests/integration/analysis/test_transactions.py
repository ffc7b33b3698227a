"""Which writes are one transaction: on PostgreSQL, with the transaction of the test case and without one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test import Client
from django.urls import path

from strangler.analysis.runtime import transactions
from strangler.domain.coupling.edges import Kind
from tests.integration.analysis.crossing import code, edges, forget, keys, unit
from tests.integration.seams.shop import make_order, make_payment

BOTH = ("orders", "payments", "orders_order, payments_payment")
ORDER = "Order.objects.update(method='a')"
PAYMENT = "Payment.objects.update(method='b')"


@pytest.fixture(params=["db", "transactional_db"])
def ledger(request: pytest.FixtureRequest) -> Iterator[None]:
    """Below the transaction of a test case, and in those that the code makes itself."""
    request.getfixturevalue(request.param)
    transactions.watch_blocks()
    forget()
    yield
    forget()


def ran(source: str, **given: Any) -> set[tuple[str, str, str]]:
    with unit():
        code("orders", source)(**given)
    return keys(Kind.TRANSACTION)


def test_two_writes_in_one_block_are_one(ledger: None) -> None:
    assert ran(f"def both():\n  with transaction.atomic():\n    {ORDER}\n    {PAYMENT}") == {BOTH}
    (edge,) = edges(Kind.TRANSACTION)
    assert edge.where == "monolith/orders/written.py:both"
    assert [(one.file, one.count, one.by) for one in edge.evidence] == [("monolith/orders/written.py", 1, ("task work",))]
    assert edge.evidence[0].text == 'UPDATE "payments_payment" SET "method" = %s'


def test_two_writes_in_two_blocks_are_two(ledger: None) -> None:
    assert ran(f"def two():\n  with transaction.atomic():\n    {ORDER}\n  with transaction.atomic():\n    {PAYMENT}") == set()


def test_two_calls_of_one_decorated_function_are_two(ledger: None) -> None:
    for how in ("@transaction.atomic", "@transaction.atomic(savepoint=False)", "@transaction.atomic(durable=True)"):
        source = f"{how}\ndef once(model):\n  model.objects.update(method='a')\ndef twice():\n  once(Order)\n  once(Payment)"
        assert ran(source) == set(), how


def test_without_a_block_each_statement_is_its_own(ledger: None) -> None:
    assert ran(f"def alone():\n  {ORDER}\n  {PAYMENT}") == set()


@pytest.mark.parametrize("how", ["savepoint=False", "durable=True", "savepoint=True"])
def test_every_sort_of_outermost_block(ledger: None, how: str) -> None:
    assert ran(
        f"def both():\n  with transaction.atomic({how}):\n    {ORDER}\n    {PAYMENT}\n  Order.objects.update(method='c')"
    ) == {BOTH}


@pytest.mark.parametrize("how", ["savepoint=False", "savepoint=True"])
def test_blocks_within_are_part_of_it(ledger: None, how: str) -> None:
    inner = f"with transaction.atomic({how}):\n      {PAYMENT}"
    assert ran(f"def nested():\n  with transaction.atomic():\n    {ORDER}\n    {inner}") == {BOTH}


def test_what_was_rolled_back_did_not_happen(ledger: None) -> None:
    block = "with contextlib.suppress(KeyError), transaction.atomic():"
    assert ran(f"import contextlib\ndef failing():\n  {block}\n    {ORDER}\n    {PAYMENT}\n    raise KeyError") == set()
    source = f"def marked():\n  with transaction.atomic():\n    {ORDER}\n    {PAYMENT}\n    transaction.set_rollback(True)"
    assert ran(source) == set()


def test_what_failed_in_a_block_without_a_savepoint_did_not_happen(db: None) -> None:
    """Below a test case no statement tells its end; the test case's own transaction goes on only because it is mended here."""
    transactions.watch_blocks()
    forget()
    block = "with contextlib.suppress(KeyError), transaction.atomic(savepoint=False):"
    source = f"import contextlib\ndef failing():\n  {block}\n    {ORDER}\n    {PAYMENT}\n    raise KeyError"
    assert ran(source) == set()
    transaction.set_rollback(False)


def test_what_was_rolled_back_to_a_savepoint_did_not_happen(ledger: None) -> None:
    inner = f"with contextlib.suppress(KeyError), transaction.atomic():\n      {PAYMENT}\n      raise KeyError"
    assert ran(f"import contextlib\ndef undone():\n  with transaction.atomic():\n    {ORDER}\n    {inner}") == set()
    lines = f"point = transaction.savepoint()\n    {PAYMENT}\n    transaction.savepoint_rollback(point)\n    {{after}}"
    source = f"def by_hand():\n  with transaction.atomic():\n    {ORDER}\n    {lines}"
    assert ran(source.format(after="pass")) == set()
    assert ran(source.format(after=PAYMENT)) == {BOTH}, "and again after it"


def test_a_savepoint_before_the_first_write_undoes_all_of_it(ledger: None) -> None:
    source = f"""def all_of_it():
  with transaction.atomic():
    point = transaction.savepoint()
    {ORDER}
    {PAYMENT}
    transaction.savepoint_rollback(point)"""
    assert ran(source) == set()


def test_a_savepoint_that_was_released_keeps_what_it_held(ledger: None) -> None:
    source = f"""def kept():
  with transaction.atomic():
    {ORDER}
    point = transaction.savepoint()
    {PAYMENT}
    transaction.savepoint_commit(point)"""
    assert ran(source) == {BOTH}


def test_a_statement_that_failed_wrote_nothing(ledger: None) -> None:
    source = f"""import contextlib
def failing():
  with transaction.atomic():
    {ORDER}
    with contextlib.suppress(Exception), transaction.atomic():
      connection.cursor().execute('UPDATE payments_payment SET nothing = 1')"""
    assert ran(source) == set()


def test_a_read_is_no_write(ledger: None) -> None:
    assert ran(f"def reads():\n  with transaction.atomic():\n    {ORDER}\n    list(Payment.objects.select_for_update())") == set()


def test_the_last_write_of_a_test_that_ends_with_its_block_is_counted(ledger: None) -> None:
    """``Model.delete`` opens a block without a savepoint."""
    payment = make_payment(make_order())
    forget()
    with unit():
        code("orders", "def remove(order):\n  order.delete()")(order=payment.order)
    (edge,) = edges(Kind.TRANSACTION)
    assert (edge.source, edge.target, edge.where) == ("orders", "payments", "monolith/orders/written.py:remove")
    assert {"orders_order", "payments_payment"} <= set(edge.what.split(", "))


def test_code_of_two_contexts_meets_in_the_one_that_called_both(ledger: None) -> None:
    pay = code("payments", f"def pay():\n  {PAYMENT}")
    source = f"def place(pay):\n  with transaction.atomic():\n    keep()\n    pay()\ndef keep():\n  {ORDER}"
    place = code("orders", source + "\nplaced = place")
    with unit():
        place(pay)
    (edge,) = edges(Kind.TRANSACTION)
    assert (edge.source, edge.target, edge.where) == ("orders", "payments", "monolith/orders/written.py:place")
    assert [one.file for one in edge.evidence] == ["monolith/payments/written.py"]


def test_an_outsider_that_writes_two_contexts_is_tied_to_both(ledger: None) -> None:
    with unit():
        code("shell", f"def upkeep():\n  with transaction.atomic():\n    {ORDER}\n    {PAYMENT}")()
    assert keys(Kind.TRANSACTION) == {("shell", "orders", BOTH[2]), ("shell", "payments", BOTH[2])}


def test_one_statement_that_writes_two_tables(ledger: None) -> None:
    sql = "WITH gone AS (UPDATE payments_payment SET method = 'x' RETURNING id) UPDATE orders_order SET method = 'y'"
    assert ran(f"def both():\n  connection.cursor().execute({sql!r})") == {BOTH}


# ---- without the transaction of a test case --------------------------------------------------------------------------


@pytest.fixture
def alone(transactional_db: None) -> Iterator[None]:
    forget()
    yield
    forget()
    connection.set_autocommit(True)


@contextlib.contextmanager
def by_hand() -> Iterator[None]:
    transaction.set_autocommit(False)
    try:
        yield
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def test_by_hand_from_one_commit_to_the_next(alone: None) -> None:
    source = f"def manual(end, between):\n  {ORDER}\n  between()\n  {PAYMENT}\n  end()"
    with by_hand():
        assert ran(source, end=transaction.rollback, between=int) == set()
        assert ran(source, end=transaction.commit, between=transaction.commit) == set()
        assert ran(source, end=transaction.commit, between=transaction.rollback) == set(), "the first one did not happen"
        assert ran(source, end=transaction.commit, between=int) == {BOTH}


def test_blocks_in_a_transaction_by_hand_are_part_of_it(alone: None) -> None:
    block = "with transaction.atomic():"
    source = f"def manual():\n  {block}\n    {ORDER}\n  {block}\n    {PAYMENT}\n  transaction.commit()"
    with by_hand():
        assert ran(source) == {BOTH}


def test_begin_and_commit_as_statements(alone: None) -> None:
    source = "def literal(end):\n  cursor = connection.cursor()\n  cursor.execute('BEGIN')\n  {}\n  {}\n  cursor.execute(end)"
    assert ran(source.format(ORDER, PAYMENT), end="ROLLBACK") == set()
    assert ran(source.format(ORDER, PAYMENT), end="COMMIT") == {BOTH}


def test_a_connection_that_dies_takes_its_transaction_along(alone: None) -> None:
    source = f"def cut():\n  with transaction.atomic():\n    {ORDER}\n    {PAYMENT}\n    connection.close()"
    assert ran(source) == set()
    assert ran(f"def later():\n  {PAYMENT}") == set()


def test_a_commit_that_fails_commits_nothing(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = make_payment(make_order())
    forget()
    source = f"def deferred(user):\n  with transaction.atomic():\n    {ORDER}\n    Payment.objects.update(user_id=user)"
    with pytest.raises(DatabaseError):  # the constraint is checked at the end
        ran(source, user=payment.user_id + 1_000_000)
    assert keys(Kind.TRANSACTION) == set()


def test_two_connections_have_two_transactions(alone: None) -> None:
    payment = "other.cursor().execute('UPDATE payments_payment SET method = 1')"
    source = f"def both(other):\n  with transaction.atomic():\n    {ORDER}\n    {payment}"
    other = connections.create_connection("default")
    try:
        assert ran(source, other=other) == set()
    finally:
        other.close()


def test_the_request_is_the_transaction_where_the_settings_say_so(
    alone: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = code(
        "orders", f"from django.http import HttpResponse\ndef both(request):\n  {ORDER}\n  {PAYMENT}\n  return HttpResponse()"
    )
    urls = ModuleType("urls_of_this_test")
    urls.urlpatterns = [path("both/", view)]
    settings.ROOT_URLCONF = urls
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert Client().post("/both/").status_code == 200
    (edge,) = edges(Kind.TRANSACTION)
    assert (edge.source, edge.target, edge.what) == BOTH
    assert edge.evidence[0].by == ("request POST /both/",)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)
    forget()
    Client().post("/both/")
    assert edges(Kind.TRANSACTION) == []
