"""P28: the monolith's admin of a context that has moved is read-only and says who owns it; a command says it in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction
from django.test import Client

from monolith.payments.models import Payment
from strangler.errors import Fenced
from strangler.seams import staff

from .shop import make_order, make_payment

Own = Callable[[str, int], None]
SAID = "payments is owned by the service (epoch 1): this is its copy, and read-only."


@pytest.fixture
def admin(fenced: None) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("admin@example.org", "x"))
    return client


def change(payment: Payment) -> str:
    return f"/admin/payments/payment/{payment.pk}/change/"


def test_p28_while_it_is_the_owner_nothing_is_different(admin: Client) -> None:
    payment = make_payment(make_order())
    page = admin.get(change(payment))
    assert page.context["has_change_permission"]
    assert SAID[1:] not in page.content.decode()


def test_p28_a_moved_context_is_read_only_and_says_who_owns_it(admin: Client, own: Own) -> None:
    payment = make_payment(make_order())
    own("service", 1)
    page = admin.get(change(payment))
    assert page.status_code == 200
    assert SAID[1:] in page.content.decode()
    assert not any(page.context[f"has_{what}_permission"] for what in ("add", "change", "delete"))
    listed = admin.get("/admin/payments/payment/")
    assert SAID[1:] in listed.content.decode()
    assert listed.context["cl"].result_count == 1
    assert not listed.context["cl"].model_admin.get_actions(listed.wsgi_request)


@pytest.mark.parametrize("where", ["change/", "delete/", ""])
def test_p28_nothing_can_be_posted_to_it(admin: Client, own: Own, where: str) -> None:
    payment = make_payment(make_order())
    own("service", 1)
    path = f"/admin/payments/payment/{payment.pk}/{where}" if where else "/admin/payments/payment/"
    answer = admin.post(path, {"reason": "by hand", "action": "delete_selected", "_selected_action": payment.pk, "post": "yes"})
    assert answer.status_code == 403
    payment.refresh_from_db()
    assert payment.reason == ""


def test_p28_for_the_moment_without_an_owner_it_says_that(admin: Client, own: Own) -> None:
    own("none", 1)
    assert "changes its owner just now" in admin.get("/admin/payments/payment/").content.decode()


def test_p28_the_admin_of_others_goes_on(admin: Client, own: Own) -> None:
    order = make_order()
    own("service", 1)
    page = admin.get(f"/admin/orders/order/{order.pk}/change/")
    assert page.context["has_change_permission"]


def test_p28_a_command_that_writes_it_ends_with_one_sentence(fenced: None, own: Own, capsys: Any) -> None:
    from django.core.management.base import BaseCommand

    payment = make_payment(make_order())
    own("service", 1)

    class Command(BaseCommand):
        def handle(self, *args: Any, **options: Any) -> None:
            with transaction.atomic():
                Payment.objects.filter(pk=payment.pk).update(reason="by a command")

    with pytest.raises(Fenced):
        call_command(Command())
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "settle_by_hand"])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("CommandError: payments is owned by service (epoch 1); nothing was written here")
    assert "in the unit of the owner" in said
    assert said.count("\n") == 1


def test_p28_wrapping_twice_changes_nothing() -> None:
    from django.contrib.admin import ModelAdmin

    before = ModelAdmin.changelist_view
    staff.restrain()
    assert ModelAdmin.changelist_view is before
