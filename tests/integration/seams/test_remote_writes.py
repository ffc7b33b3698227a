"""P18: a remote write is never part of a transaction; the intent is committed first, and its id is the key."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from monolith.payments import remote
from monolith.payments.contract import payments
from monolith.payments.models import Payment
from strangler.seams import Fenced, RemoteInsideTransaction

from .shop import make_order

Own = Callable[..., None]


def charge_of(order: Any) -> dict[str, Any]:
    return {
        "key": "intent-1",
        "order_id": order.pk,
        "user_id": order.user_id,
        "amount": Decimal("20.00"),
        "currency": "EUR",
        "method": "ok",
    }


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(remote.RemotePayments, "charge", lambda self, **asked: made.append(asked))
    return made


def test_p18_a_remote_write_inside_a_transaction_is_refused(own: Own, calls: list[Any]) -> None:
    order = make_order()
    own("service", 1)
    with pytest.raises(RemoteInsideTransaction, match="idempotency key"), transaction.atomic():
        payments.charge(**charge_of(order))
    assert not calls


def test_p18_after_the_commit_it_is_made(own: Own, calls: list[Any]) -> None:
    order = make_order()
    own("service", 1)
    payments.charge(**charge_of(order))
    assert [call["key"] for call in calls] == ["intent-1"]


def test_p18_a_local_write_is_part_of_the_transaction(fenced: None) -> None:
    order = make_order()
    with transaction.atomic():
        payments.charge(**charge_of(order))
        transaction.set_rollback(True)
    assert not Payment.objects.exists()


def test_p17_a_write_through_a_seam_fixes_the_side_for_its_transaction(own: Own) -> None:
    from strangler.sync.ownership import OwnershipBusy

    order = make_order()
    with transaction.atomic():
        payments.charge(**charge_of(order))
        with pytest.raises(OwnershipBusy):
            own("none", 1, lock_timeout_ms=20, tries=2)
    assert Payment.objects.count() == 1


def test_p17_outside_a_transaction_nobody_for_too_long_is_fenced(own: Own, settings: Any, calls: list[Any]) -> None:
    settings.STRANGLER_CLAIM_TIMEOUT = 0.05
    order = make_order()
    own("none", 1)
    with pytest.raises(Fenced):
        payments.charge(**charge_of(order))
    assert not calls
    assert not Payment.objects.exists()


def test_reads_are_of_the_local_copy_whoever_owns(own: Own, calls: list[Any]) -> None:
    order = make_order()
    payments.charge(**charge_of(order))
    own("service", 1)
    assert payments.for_orders(order_ids=[order.pk])[order.pk].state == "captured"
