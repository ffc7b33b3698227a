"""P25: what ``on_delete`` says, when parent and child have different owners."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection, models, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.models.deletion import CASCADE, SET_DEFAULT, SET_NULL, ProtectedError

from monolith.orders.models import Order
from monolith.payments.models import Payment
from strangler.domain.envelope import Event, Op, Version
from strangler.seams import Fenced, loose, sweep_orphans
from strangler.sync import apply

from .shop import make_order, make_payment, make_user

Own = Callable[..., None]
ORDER_KEY = Payment._meta.get_field("order")


@pytest.fixture
def unbound(fenced: None) -> Iterator[None]:
    """The foreign key's constraint is dropped, as at entering ``mirror``; put back at the end."""
    of_table = "FROM pg_constraint WHERE conrelid = 'payments_payment'::regclass AND contype = 'f'"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT conname, pg_get_constraintdef(oid) {of_table}")
        kept = cursor.fetchall()
        for name, _ in kept:
            cursor.execute(f'ALTER TABLE payments_payment DROP CONSTRAINT "{name}"')
    yield
    with connection.cursor() as cursor:
        for name, definition in kept:
            cursor.execute(f'ALTER TABLE payments_payment ADD CONSTRAINT "{name}" {definition} NOT VALID')


@pytest.fixture
def moved(as_service: None, unbound: None, own: Own) -> None:
    """This is the service's database, and the service owns payments."""
    own("service", 1)


def order_deleted(order_id: int, round: int = 1) -> apply.Outcome:
    """The delete event of an order reaches the service."""
    return apply.apply([Event("payments-copies", Op.DELETE, "orders.Order", str(order_id), Version(0, 1, round))])


def delete_where_it_is_owned(order: Order) -> None:
    """The monolith deletes the order; on the service only the event shows."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM orders_order WHERE id = %s", [order.pk])
        cursor.execute("SET session_replication_role = DEFAULT")


def test_p25_an_order_can_be_deleted_once_payments_has_moved(unbound: None, own: Own) -> None:
    order = make_order()
    payment = make_payment(order)
    own("service", 1)
    order.delete()
    assert not Order.objects.exists()
    assert Payment.objects.filter(pk=payment.pk).exists(), "the read copy is changed by the reverse mirror alone"


def test_p25_also_in_a_transaction_and_by_a_queryset(unbound: None, own: Own) -> None:
    orders = [make_order(), make_order()]
    for order in orders:
        make_payment(order)
    own("service", 1)
    with transaction.atomic():
        Order.objects.filter(pk__in=[order.pk for order in orders]).delete()
    assert (Order.objects.count(), Payment.objects.count()) == (0, 2)


def test_p25_while_the_monolith_owns_the_cascade_is_djangos(fenced: None) -> None:
    order = make_order()
    make_payment(order)
    order.delete()
    assert not Payment.objects.exists()


def test_p25_protect_asks_the_local_copy(unbound: None, own: Own) -> None:
    payer = make_user()
    make_payment(make_order(), user_id=payer.pk)
    own("service", 1)
    with pytest.raises(ProtectedError, match=r"Payment\.user"):
        payer.delete()


def test_p25_while_nobody_owns_a_delete_with_children_waits(own: Own, settings: object) -> None:
    settings.STRANGLER_CLAIM_TIMEOUT = 0.05  # type: ignore[attr-defined]
    order = make_order()
    make_payment(order)
    own("none", 1)
    with pytest.raises(Fenced):
        order.delete()
    assert Order.objects.exists()


def test_p25_the_childs_owner_cascades_on_the_delete_event(moved: None) -> None:
    order, other = make_order(), make_order()
    gone, kept = make_payment(order), make_payment(other)
    delete_where_it_is_owned(order)
    order_deleted(order.pk)
    assert list(Payment.objects.values_list("pk", flat=True)) == [kept.pk]
    assert gone.pk != kept.pk


def test_p25_the_cascade_is_an_ordinary_write_that_is_captured(moved: None) -> None:
    """No origin, triggers on: otherwise the monolith's copy would keep the payment for ever."""
    order = make_order()
    make_payment(order)
    delete_where_it_is_owned(order)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE seen (role text, origin text)")
        cursor.execute(
            "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO seen VALUES (current_setting('session_replication_role'), current_setting('strangler.origin', true)); "
            "RETURN NULL; END $$"
        )
        cursor.execute("CREATE TRIGGER see AFTER DELETE ON payments_payment FOR EACH STATEMENT EXECUTE FUNCTION see()")
    try:
        order_deleted(order.pk)
        with connection.cursor() as cursor:
            cursor.execute("SELECT DISTINCT role, origin FROM seen")
            assert cursor.fetchall() == [("origin", "")]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER see ON payments_payment; DROP FUNCTION see(); DROP TABLE seen")


def test_p25_who_is_not_the_owner_leaves_the_children_alone(moved: None, own: Own) -> None:
    order = make_order()
    make_payment(order)
    own("monolith", 2)
    delete_where_it_is_owned(order)
    order_deleted(order.pk)
    assert Payment.objects.count() == 1


def test_p25_between_two_owners_the_delete_event_waits(moved: None, own: Own) -> None:
    order = make_order()
    make_payment(order)
    delete_where_it_is_owned(order)
    own("none", 2)
    with pytest.raises(Fenced):
        order_deleted(order.pk)
    own("service", 3)
    order_deleted(order.pk)
    assert not Payment.objects.exists()


def test_p25_a_new_owner_sweeps_what_nobody_followed(unbound: None, own: Own) -> None:
    order, other = make_order(), make_order()
    make_payment(order), make_payment(other)
    delete_where_it_is_owned(order)
    assert sweep_orphans("payments") == 1
    assert Payment.objects.get().order_id == other.pk


@pytest.mark.parametrize(
    ("on_delete", "expected"),
    [(SET_NULL, None), (SET_DEFAULT, 7), (models.SET(8), 8), (models.SET(lambda: 9), 9)],
)
def test_p25_what_is_set_at_the_childs_owner(on_delete: object, expected: int | None) -> None:
    key = models.ForeignKey(Order, null=True, default=7, on_delete=on_delete)
    assert loose._replacement(key, on_delete) == expected


def test_migrations_see_what_was_declared() -> None:
    assert ORDER_KEY.remote_field.on_delete is not CASCADE
    assert ORDER_KEY.deconstruct()[3]["on_delete"] is CASCADE
    from django.apps import apps

    state = MigrationLoader(None).project_state()
    changes = MigrationAutodetector(state, ProjectState.from_apps(apps))._detect_changes()
    assert "payments" not in changes


def test_loosening_twice_changes_nothing() -> None:
    before = ORDER_KEY.remote_field.on_delete
    loose.loosen_deletes()
    assert ORDER_KEY.remote_field.on_delete is before


def test_only_keys_that_cross_are_loosened() -> None:
    from monolith.payments.models import Refund

    assert Refund._meta.get_field("payment").remote_field.on_delete is CASCADE
    assert {field.name for fields in loose._loosened.values() for field in fields} >= {"order", "user"}
