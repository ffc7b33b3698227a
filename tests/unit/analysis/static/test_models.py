"""Models and relations of apps that Django could not load."""

from __future__ import annotations

from pathlib import Path

from strangler.analysis.static.models import Registry, completed
from tests.unit.analysis.static.sources import found, project

FILES = {
    "shop/users/models.py": """
from django.contrib.auth.models import AbstractUser
class User(AbstractUser): ...
""",
    "shop/orders/base.py": """
from django.conf import settings
from django.db import models
class Owned(models.Model):
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="%(class)s_of", null=True)
    class Meta:
        abstract = True
""",
    "shop/orders/models.py": """
from django.db import models as m
from django.db.models import CASCADE, ForeignKey
from shop.customers.models import Customer
from .base import Owned

class Order(Owned):
    number = m.CharField(max_length=9)
    customer = ForeignKey(Customer, CASCADE, related_name="orders")
    tags = m.ManyToManyField("customers.Tag", db_table="order_tags")
    parent = m.ForeignKey("self", m.CASCADE, null=True, related_name="+")

class Line(m.Model):
    order = m.ForeignKey("Order", on_delete=m.CASCADE)
    payment = m.OneToOneField("payments.payment", m.PROTECT, db_constraint=False)
    class Meta:
        db_table = "Lines"

class Special(Order):
    name = m.TextField()

class Seen(Order):
    class Meta:
        proxy = True

class Form:
    order = m.CharField()
""",
    "shop/customers/models.py": """
from django.db import models
class Tag(models.Model): ...
class Customer(models.Model):
    seen = models.ManyToManyField("orders.Order", through="orders.Line", related_name="seen_by")
""",
    "shop/payments/models.py": "from django.db import models\nclass Payment(models.Model): amount = models.IntegerField()\n",
}


def told(root: Path, labels: tuple[str, ...], files: dict[str, str] = FILES) -> list[str]:
    kinds = ("foreign_key", "one_to_one", "many_to_many", "swapped")
    edges = [edge for edge in found(root, files, labels=labels).edges if edge.kind in kinds]
    return sorted(f"{one.kind} {one.source}>{one.target} {one.where} {one.what} {one.note}".strip() for one in edges)


def test_relations_of_models_that_were_not_loaded_are_read_from_their_source(tmp_path: Path) -> None:
    at = "shop/orders/models.py"
    assert told(tmp_path, ()) == [
        f"foreign_key orders>customers {at}:Order.customer customers.Customer on_delete=CASCADE",
        f"foreign_key orders>users {at}:Order.owner users.User on_delete=SET_NULL, swappable=AUTH_USER_MODEL",
        "many_to_many customers>orders shop/customers/models.py:Customer.seen orders.Order through=orders.Line",
        f"many_to_many orders>customers {at}:Order.tags customers.Tag",
        f"one_to_one orders>payments {at}:Line.payment payments.Payment on_delete=PROTECT, db_constraint=False",
        f"swapped orders>users {at}:Order.owner AUTH_USER_MODEL",
    ]  # fmt: skip


def test_what_django_has_loaded_is_not_read_again(tmp_path: Path) -> None:
    loaded = ("orders.Order", "orders.Line", "customers.Customer", "payments.Payment", "users.User")
    assert told(tmp_path, loaded) == []
    only = told(tmp_path, loaded[:2])
    assert [line.split()[1] for line in only] == ["customers>orders"]


def test_a_line_that_was_inherited_is_evidence_where_it_stands(tmp_path: Path) -> None:
    [edge] = [each for each in found(tmp_path, FILES, labels=()).edges if each.where.endswith("Order.owner") and each.note]
    assert edge.evidence[0].file == "shop/orders/base.py"
    assert edge.evidence[0].text.startswith("owner = models.ForeignKey(settings.AUTH_USER_MODEL")


def test_models_from_the_source_have_the_fields_that_paths_lead_through(tmp_path: Path) -> None:
    known = completed(Registry(project(tmp_path, FILES, labels=())))
    order, line, special, seen = (known.models[f"orders.{name}"] for name in ("Order", "Line", "Special", "Seen"))
    fields = {one.name: (one.kind, one.related, one.accessor) for one in order.fields.values()}
    assert fields["customer"] == ("foreign_key", "customers.Customer", "")
    assert fields["line"] == ("reverse_foreign_key", "orders.Line", "line_set")
    assert fields["seen_by"] == ("reverse_many_to_many", "customers.Customer", "seen_by")
    assert fields["number"] == ("column", "", "")
    assert "parent" in fields
    assert order.fields["customer"].attname == "customer_id"
    assert special.fields["order_ptr"].related == "orders.Order"
    assert special.fields["customer"].related == "customers.Customer"
    assert seen.proxy_for == "orders.Order"
    assert line.table == "lines"
    assert known.models["customers.Customer"].fields["orders"].accessor == "orders"
    assert known.models["users.User"].fields["order_of"].kind == "reverse_foreign_key"
    assert known.atlas.tables["order_tags"] == "orders"
    assert known.atlas.models["payments.Payment"] == "payments"
    assert "orders.Form" not in known.models
    assert "orders.Owned" not in known.models


def test_a_module_of_models_that_can_t_be_parsed_takes_its_own_alone(tmp_path: Path) -> None:
    broken = FILES | {"shop/payments/models.py": "class Payment(:"}
    got = found(tmp_path, broken, labels=())
    assert [one.where for one in got.skipped] == ["shop/payments/models.py"]
    assert any(edge.what == "customers.Customer" for edge in got.edges)
