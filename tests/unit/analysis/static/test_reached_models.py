"""A path tells the models that it leads to, so that nobody has to guess from its words which tables it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from strangler.analysis.static.queries import Queries
from strangler.analysis.static.relations_in_templates import relations_in_templates
from tests.unit.analysis.static.shop import project, seen

ORDERS = "from django.db.models import Q\nfrom shop.orders.models import Line, Order\n"
REACHED = {
    "Order.objects.filter(customer__region__name=1)": {("lookup", "customers", "customers.Customer, customers.Region")},
    "Order.objects.filter(customer__account__email=1)": {
        ("lookup", "customers", "customers.Customer"),
        ("lookup", "accounts", "accounts.Account"),
    },
    "Order.objects.filter(payment__refund__reason=1)": {("lookup", "payments", "payments.Payment, payments.Refund")},
    "Order.objects.filter(customer__region=1)": {("lookup", "customers", "customers.Customer")},  # the key stands there
    "Line.objects.select_related('product__category')": {("select_related", "products", "products.Product, products.Category")},
    "Order.objects.prefetch_related('payments')": {("prefetch_related", "payments", "payments.Payment")},
    "Q(customer__region__name=1)": {("lookup", "customers", "customers.Customer, customers.Region")},
    "Order.objects.get().payments": {("reverse_accessor", "payments", "payments.Payment")},
}


@pytest.mark.parametrize("source", REACHED)
def test_each_context_gets_its_own_of_them(source: str) -> None:
    assert seen(Queries, ORDERS + source, names=("target", "models")) == REACHED[source]


def test_an_accessor_of_a_many_to_many_reads_the_table_between() -> None:
    source = "from shop.products.models import Product\nProduct.objects.get().wished_in.all()"
    found = seen(Queries, source, "shop.products.code", names=("target", "models"))
    assert found == {("reverse_accessor", "orders", "orders.Order, orders.Order_wished")}


def test_code_of_a_third_context_gets_those_of_each() -> None:
    source = "from shop.customers.models import Customer\nCustomer.objects.filter(order__payment__status=1)\n" + ORDERS
    source += "Order.objects.filter(customer__account__email=1)\nOrder.objects.filter(payment__status=1)"
    found = seen(Queries, source, "shop.reports.code", names=("target", "what", "models"))
    assert ("lookup", "orders", "order__payment__status", "orders.Order") in found
    assert ("lookup", "payments", "payment__status", "payments.Payment") in found


def test_a_template_tells_them_too(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("{{ order.customer.region.name }}\n{{ order.customer.account.email }}")
    found = relations_in_templates(project(tmp_path, templates={"orders/page.html": ("orders", page)}))
    assert {(edge.target, edge.what, edge.evidence[0].line, edge.models) for edge in found.edges} == {
        ("customers", "order.customer.region.name", 1, ("customers.Customer", "customers.Region")),
        ("customers", "order.customer.account.email", 2, ("customers.Customer",)),
        ("accounts", "order.customer.account.email", 2, ("accounts.Account",)),
    }
