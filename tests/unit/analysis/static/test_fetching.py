"""What select_related and prefetch_related fetch from other contexts, and what uses the accessors of their relations."""

from __future__ import annotations

import pytest

from strangler.analysis.static.queries import Queries
from tests.unit.analysis.static.shop import seen

IMPORTS = """
from django.contrib import admin
from django.db import models
from django.db.models import Prefetch, prefetch_related_objects
from shop.orders.models import Line, Order
from shop.payments.models import Payment
from shop.customers.models import Customer
"""


def found(source: str, module: str = "shop.orders.code") -> set[str]:
    """``select_related customers customer``"""
    return {" ".join(edge) for edge in seen(Queries, IMPORTS + source, module)}


CUSTOMER = {"select_related customers customer"}
PRODUCT = {"prefetch_related products lines__product"}
FOUND = {
    "each context on the way": (
        "Order.objects.select_related('customer__account')",
        {"select_related customers customer__account", "select_related accounts customer__account"},
    ),
    "by a reverse one-to-one": ("request.user.customer", {"reverse_accessor customers accounts.Account.customer"}),
    "names in a constant": ("FIELDS = ('customer',)\nOrder.objects.select_related(*FIELDS)", CUSTOMER),
    "by accessor": ("Order.objects.prefetch_related('payments')", {"prefetch_related payments payments"}),
    "a Prefetch": ("Order.objects.prefetch_related(Prefetch('lines__product', queryset=None))", PRODUCT),
    "a Prefetch by keyword": ("Order.objects.prefetch_related(Prefetch(lookup='lines__product'))", PRODUCT),
    "Prefetches in a list": (
        "P = [Prefetch('lines__product'), 'wished']\nOrder.objects.prefetch_related(*P)",
        PRODUCT | {"prefetch_related products wished"},
    ),
    "what a Prefetch has named": ("Order.objects.prefetch_related(Prefetch('lines', to_attr='all'), 'all__product')", PRODUCT),
    "what a Prefetch fetches with": (
        "Order.objects.prefetch_related(Prefetch('lines', queryset=Line.objects.select_related('product')))",
        {"select_related products product"},
    ),
    "of objects that are there": ("def f(orders: list[Order]):\n prefetch_related_objects(orders, 'lines__product')", PRODUCT),
    "of one object": ("def f(one: Order):\n prefetch_related_objects([one], 'lines__product')", PRODUCT),
    "an admin's list": ("@admin.register(Order)\nclass A(admin.ModelAdmin):\n list_select_related = ['customer']", CUSTOMER),
    "an admin's yes": ("@admin.register(Order)\nclass A(admin.ModelAdmin):\n list_select_related = True", set()),
    "no names": ("Order.objects.select_related()", set()),
    "taking back": ("Order.objects.select_related(None)", set()),
    "own relations": ("Line.objects.select_related('order').prefetch_related('order__lines')", set()),
    "not a queryset": ("builder.select_related('customer')", set()),
    "no relation": ("Order.objects.select_related('customer_id', 'number', 'nothing')", set()),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_is_fetched_is_found(name: str) -> None:
    source, expected = FOUND[name]
    assert found(source) == expected


PAYMENTS = {"reverse_accessor payments orders.Order.payments"}
USED = {
    "of a parameter": ("def f(order: Order):\n order.payments.all()", PAYMENTS),
    "of a parameter that is called so": ("def f(order):\n order.payments.all()", PAYMENTS),
    "of an optional one": ("def f(order: Order | None = None):\n order.payments.all()", PAYMENTS),
    "of what a middleware put on the request": ("def f(request):\n request.order.payments.all()", PAYMENTS),
    "of what it put on a view's": ("class V:\n def f(self):\n  self.request.order.payments.all()", PAYMENTS),
    "of what a request has by itself": ("def f(request):\n request.session.payments", set()),
    "of what is not on a request": ("def f(form):\n form.order.payments.all()", set()),
    "of a row": ("Order.objects.get(pk=1).payments", PAYMENTS),
    "of what is made": ("o = Order(number=1)\no.payments", PAYMENTS),
    "further away": ("def f(line: Line):\n line.order.payments", PAYMENTS),
    "of self": ("class Order(models.Model):\n def f(self):\n  return self.payments", set()),
    "by getattr": ("def f(order: Order):\n getattr(order, 'payments', None)", PAYMENTS),
    "by hasattr": (
        "def f(request):\n hasattr(request.user, 'customer')",
        {"reverse_accessor customers accounts.Account.customer"},
    ),
    "the other way round": ("def f(order: Order):\n order.customer.account", set()),
    "of another class": ("class Basket: ...\ndef f(order: Basket):\n order.payments", set()),
    "of something else by now": ("def f(order: Order):\n order = load()\n order.payments", set()),
    "own": ("def f(order: Order):\n order.lines.all()", set()),
    "of each in a function that is called with each": (
        "sorted(Order.objects.all(), key=lambda o: o.payments.count())",
        PAYMENTS,
    ),
    "of a dict's rows": (
        "def f():\n by = {o.pk: o for o in Order.objects.all()}\n return by[1].payments, [o.payments for o in by.values()]",
        PAYMENTS,
    ),
    "in bulk": ("Order.objects.in_bulk([1])[1].payments", PAYMENTS),
    "of another lambda": ("sorted([1], key=lambda order: order.payments)", set()),
    "a generic relation is declared here": ("def f(order: Order):\n order.snapshots.all()", set()),
    "on the class": ("Order.payments", set()),
}


@pytest.mark.parametrize("name", USED)
def test_what_uses_an_accessor_is_found(name: str) -> None:
    source, expected = USED[name]
    assert found(source) == expected


def test_a_model_uses_what_others_have_put_on_it() -> None:
    source = "class Order(models.Model):\n def f(self):\n  return self.payments.count()"
    assert found(source, "shop.orders.models") == PAYMENTS


def test_the_accessors_own_context_may_use_it() -> None:
    assert found("def f(order: Order):\n order.payments.all()", "shop.payments.code") == set()


def test_an_abstract_base_is_about_the_models_that_are_made_of_it() -> None:
    source = """
        class AbstractOrder(models.Model):
            def dear(self):
                return self.lines.select_related("product")

            def settled(self):
                return self.payments.filter(payer__email="a@b")

        class Dated:
            def seen(self):
                return self.payments.all()
    """
    asked = {("select_related", "products", "product"), ("reverse_accessor", "payments", "orders.Order.payments")}
    assert asked <= seen(Queries, source, "shop.orders.models")
    assert ("lookup", "accounts", "payer__email") in seen(Queries, source, "shop.orders.models")


def test_a_mixin_is_about_every_model_that_is_made_of_it() -> None:
    source = "class Dated:\n    def seen(self):\n        return self.payments.all(), self.line_set.all(), self.wished_in"
    assert seen(Queries, source, "shop.orders.mixins") == {("reverse_accessor", "payments", "orders.Order.payments")}
    assert seen(Queries, source, "shop.orders.others") == set()
