"""P26: a signal receiver that crosses a context's border runs where ``strangler.toml`` says, whoever owns the context."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import signals
from django.dispatch import Signal

from monolith.orders.models import Order
from monolith.payments.contract import payment_captured
from monolith.payments.models import Payment
from strangler.domain.envelope import Event, Op, Version
from strangler.seams import receivers
from strangler.sync import apply, ownership

from .shop import make_order, make_payment

Own = Callable[[str, int], None]
Declare = Callable[..., None]
heard: list[tuple[str, Any]] = []
TOML = """
[estate]
[contexts.orders]
apps = ["monolith.orders"]
[contexts.payments]
apps = ["monolith.payments"]
read_copies = ["orders.Order"]
service = {{ urls = ["http://127.0.0.1:1"] }}
receivers = {receivers}
"""


def on_saved(sender: Any, instance: Any, created: bool, **_: Any) -> None:
    heard.append(("created" if created else "saved", instance.pk))


def on_deleted(sender: Any, instance: Any, **_: Any) -> None:
    heard.append(("deleted", instance.pk))


def on_captured(**_: Any) -> None:
    heard.append(("captured", None))


HERE = on_saved.__module__
SAVED, DELETED, CAPTURED = f"{HERE}.on_saved", f"{HERE}.on_deleted", f"{HERE}.on_captured"


@pytest.fixture(autouse=True)
def connected() -> Iterator[None]:
    heard.clear()
    wired: list[tuple[Signal, Any, Any]] = [
        (signals.post_save, on_saved, Payment),
        (signals.post_delete, on_deleted, Payment),
        (payment_captured, on_captured, None),
    ]
    for signal, receiver, sender in wired:
        signal.connect(receiver, sender=sender)
    yield
    for signal, receiver, sender in wired:
        signal.disconnect(receiver, sender=sender)


@pytest.fixture
def declare(settings: Any, tmp_path: Path) -> Declare:
    def write(side: str = "monolith", **where: str) -> None:
        file = tmp_path / "strangler.toml"
        names = {"saved": SAVED, "deleted": DELETED, "captured": CAPTURED}
        table = ", ".join(f'"{names.get(name, name)}" = "{place}"' for name, place in where.items())
        file.write_text(TOML.format(receivers=f"{{ {table} }}"))
        settings.STRANGLER = {**settings.STRANGLER, "ESTATE": str(file), "SIDE": side, "CONTEXT": "payments"}

    return write


def arrive(payment: Payment, number: int, op: Op = Op.UPSERT, **changed: str) -> None:
    """The row comes back from its service, which owns it at epoch 1."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(p) FROM payments_payment p WHERE id = %s", [payment.pk])
        row = {**json.loads(cursor.fetchone()[0]), **changed} if op is Op.UPSERT else None
    event = Event("payments-reverse", op, "payments.Payment", str(payment.pk), Version(1, 1, number), data=row)
    outcome = apply.apply([event])
    assert outcome.applied, outcome


def test_p26_what_is_not_declared_runs_as_ever(fenced: None, declare: Declare) -> None:
    declare()
    payment = make_payment(make_order())
    assert heard == [("created", payment.pk)]


@pytest.mark.parametrize(("where", "runs"), [("service", True), ("monolith", False), ("drop", False)])
def test_p26_on_the_service_only_what_came_along_runs(fenced: None, own: Own, declare: Declare, where: str, runs: bool) -> None:
    order = make_order()
    declare("service", saved=where, captured=where)
    make_payment(order)
    with transaction.atomic():
        payment_captured.send(sender=None, payment=None)
    assert [what for what, _ in heard] == (["created", "captured"] if runs else [])


@pytest.mark.parametrize("where", ["service", "monolith", "drop"])
def test_p26_before_the_cut_over_it_runs_on_the_monolith(fenced: None, declare: Declare, where: str) -> None:
    declare(saved=where)
    make_payment(make_order())
    assert [what for what, _ in heard] == ["created"]


@pytest.mark.parametrize(("where", "expected"), [("monolith", ["saved", "deleted"]), ("service", []), ("drop", [])])
def test_p26_what_stays_is_called_for_rows_that_come_back(
    fenced: None, own: Own, declare: Declare, where: str, expected: list[str]
) -> None:
    payment = make_payment(make_order())
    declare(saved=where, deleted=where)
    own("service", 1)
    heard.clear()
    arrive(payment, 1, reason="by the service")
    arrive(payment, 2, Op.DELETE)
    assert heard == [(what, payment.pk) for what in expected]


def test_p26_it_is_told_which_rows_are_new(fenced: None, own: Own, declare: Declare) -> None:
    kept = make_payment(make_order())
    row = Payment.objects.filter(pk=kept.pk).values().get() | {"order_id": make_order().pk}
    declare(saved="monolith")
    own("service", 1)
    heard.clear()
    new = json.loads(json.dumps({**row, "id": kept.pk + 1, "idempotency_key": "new"}, default=str))
    event = Event("payments-reverse", Op.UPSERT, "payments.Payment", str(kept.pk + 1), Version(1, 1, 1), data=new)
    assert apply.apply([event]).applied
    again = Event("payments-reverse", Op.UPSERT, "payments.Payment", str(kept.pk + 1), Version(1, 1, 2), data=new)
    assert apply.apply([again]).applied
    assert heard == [("created", kept.pk + 1), ("saved", kept.pk + 1)]


def test_p26_what_it_raises_undoes_the_batch_which_comes_again(fenced: None, own: Own, declare: Declare) -> None:
    payment = make_payment(make_order())
    declare(saved="monolith")
    own("service", 1)
    failing = True  # until told otherwise

    def fail(**_: Any) -> None:
        if failing:
            raise RuntimeError("the mail server is away")

    signals.post_save.connect(fail, sender=Payment)
    try:
        declare(**{"saved": "monolith", receivers.path(fail): "monolith"})
        with pytest.raises(RuntimeError):
            arrive(payment, 1, reason="by the service")
        payment.refresh_from_db()
        assert payment.reason == ""
        failing = False
        arrive(payment, 1, reason="by the service")
        payment.refresh_from_db()
        assert payment.reason == "by the service"
    finally:
        signals.post_save.disconnect(fail, sender=Payment)


# ---- the context's own receivers, which listen to others --------------------------------------------------------------


@pytest.fixture
def inbound(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same function as if it stood in payments."""
    monkeypatch.setattr(on_saved, "__module__", "monolith.payments.receivers")
    signals.post_save.connect(on_saved, sender=Order)
    yield
    signals.post_save.disconnect(on_saved, sender=Order)


OWN = "monolith.payments.receivers.on_saved"


@pytest.mark.parametrize(("where", "runs"), [("monolith", True), ("service", False), ("drop", False)])
def test_p26_after_the_cut_over_the_monolith_leaves_the_contexts_own_to_it(
    inbound: None, fenced: None, own: Own, declare: Declare, where: str, runs: bool
) -> None:
    declare(**{OWN: where})
    order = make_order()
    assert heard == [("created", order.pk)]
    own("service", 1)
    order.save()
    assert (("saved", order.pk) in heard) is runs


@pytest.mark.parametrize(("owner", "runs"), [("service", True), ("monolith", False)])
def test_p26_on_the_service_the_contexts_own_are_called_for_read_copies(
    inbound: None, transactional_db: None, declare: Declare, owner: str, runs: bool
) -> None:
    order = make_order()
    declare("service", **{OWN: "service"})
    ownership.prepare("payments", "service")
    ownership.change("payments", epoch=1, owner=owner, operation="test")
    heard.clear()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(o) FROM orders_order o WHERE id = %s", [order.pk])
        row = json.loads(cursor.fetchone()[0])
    event = Event("payments-copies", Op.UPSERT, "orders.Order", str(order.pk), Version(1, 1, 1), data=row)
    assert apply.apply([event]).applied
    assert (heard == [("saved", order.pk)]) is runs


# ---- what the gate looks at --------------------------------------------------------------------------------------------


def test_p26_every_receiver_that_crosses_is_found(inbound: None, declare: Declare) -> None:
    declare()
    found = {(one.path, one.signal, one.inbound) for one in receivers.crossing("payments")}
    assert {
        (f"{HERE}.on_deleted", "post_delete", False),
        (f"{HERE}.on_captured", "monolith.payments.contract.payment_captured", False),
        (OWN, "post_save", True),
        ("monolith.orders.receivers._on_captured", "monolith.payments.contract.payment_captured", False),
    } <= found
