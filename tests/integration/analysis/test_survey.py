"""Projects of every layout, and the live kinds that the shop has none of. Each project is looked at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.analysis.projects import Looked, look, write

MODELS = "from django.db import models\nfrom django.conf import settings\n"
FILES = {
    "strangler.toml": """
[contexts.sales]
apps = ["orders", "carts"]
contract = ["orders.api"]

[contexts.money]
apps = ["src_app.billing"]
""",
    "core/models.py": MODELS
    + """
class Stamped(models.Model):
    at = models.DateTimeField(null=True)
    by = models.ForeignKey("accounts.Account", models.SET_NULL, null=True)
    class Meta:
        abstract = True

class Thing(models.Model):
    name = models.TextField()

class Live(models.QuerySet):
    def live(self):
        return self.filter(pk__gt=0)

class LiveManager(models.Manager):
    pass
""",
    "accounts/models.py": MODELS
    + """
from django.contrib.auth.models import AbstractUser

class Account(AbstractUser):
    pass

class Team(models.Model):
    lead = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
""",
    "orders/models.py": MODELS
    + """
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from core.models import Live, LiveManager, Stamped, Thing
from accounts.models import Account

User = get_user_model()

class Order(Stamped):
    buyer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    seller = models.ForeignKey(Account, models.SET_DEFAULT, default=1, related_name="sold", db_constraint=False)
    packer = models.ForeignKey(User, models.SET(None), null=True, related_name="packed")
    lines = models.ManyToManyField("core.Thing", through="orders.Line", related_name="ordered")
    tags = models.ManyToManyField("core.Thing")
    remarks = GenericRelation("notes.Remark")
    objects = LiveManager()
    live = Live.as_manager()
    own = models.Manager()

class Line(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
    thing = models.ForeignKey("core.Thing", models.PROTECT)

class Parcel(Thing):
    weight = models.IntegerField()

class Boxed(Parcel):
    pass

class Cheap(Thing):
    class Meta:
        proxy = True

def made(name):
    return type(name, (models.Model,), {"__module__": __name__, "thing": models.ForeignKey("core.Thing", models.CASCADE)})

Made = made("Made")
""",
    "orders/api.py": "",
    "orders/tests/test_orders.py": "from notes.models import Remark\n",
    "orders/tests.py": "",
    "carts/models.py": MODELS
    + """
class Cart(models.Model):
    order = models.OneToOneField("orders.Order", models.CASCADE)
""",
    "notes/models.py": MODELS
    + """
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType

class OnLiveThings(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(thing__name="x")

class Ordered(models.Manager):
    def get_queryset(self):
        return super().get_queryset().order_by("order__at")

class WithOrder(models.Manager):
    def get_queryset(self):
        return super().get_queryset().select_related("order")

class Failing(models.Manager):
    def get_queryset(self):
        raise RuntimeError("no tenant")

class Remark(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField()
    about = GenericForeignKey()
    thing = models.ForeignKey("core.Thing", models.CASCADE, related_name="+")
    order = models.ForeignKey("orders.Order", models.CASCADE)
    objects = OnLiveThings()
    with_order = WithOrder()
    failing = Failing()
    ordered = Ordered()
    plain = models.Manager()

    class Meta:
        ordering = ["order__buyer__username"]

class Mark(models.Model):  # and Long below, whose key is its parent's
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.PositiveIntegerField()
    about = GenericForeignKey()

class Long(Mark):
    text = models.TextField()
""",
    "ns/wide/models.py": MODELS
    + """
class Wide(models.Model):
    order = models.ForeignKey("orders.Order", models.CASCADE, related_name="wide")
    class Meta:
        app_label = "wide"
""",
    "src/src_app/billing/models.py": MODELS
    + """
class Bill(models.Model):
    order = models.ForeignKey("orders.Order", models.DO_NOTHING)
""",
    "lib/mail.py": "",
    "lib/test_mail.py": "",
    "config/local.py": "",
}
TYPE = "(SELECT id FROM django_content_type WHERE app_label = '{0}' AND model = '{1}')"
REMARK = f"INSERT INTO notes_remark (content_type_id, object_id, thing_id, order_id) VALUES ({TYPE}, 1, 1, 1)"
SQL = [
    "PRAGMA foreign_keys = OFF",
    REMARK.format("core", "thing"),
    REMARK.format("notes", "mark"),
    "CREATE VIEW dues AS SELECT b.id FROM src_app_bill_x b JOIN orders_order o ON o.id = b.id".replace(
        "src_app_bill_x", "billing_bill"
    ),
    "CREATE VIEW wide_dues AS SELECT d.id FROM dues d JOIN wide_wide w ON w.id = d.id",
    "CREATE TRIGGER settled AFTER UPDATE ON billing_bill BEGIN UPDATE orders_order SET at = NULL WHERE id = NEW.order_id; END",
    "CREATE TRIGGER strangler_note AFTER UPDATE ON billing_bill BEGIN UPDATE core_thing SET name = '' ; END",
    "CREATE TABLE extra (id INTEGER PRIMARY KEY)",
    "ALTER TABLE core_thing ADD COLUMN bill_id INTEGER REFERENCES billing_bill(id)",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("layouts")
    write(root, FILES, "accounts core orders carts notes ns.wide src_app.billing")
    with (root / "config" / "settings.py").open("a") as settings:
        settings.write('AUTH_USER_MODEL = "accounts.Account"\n')
    return root


@pytest.fixture(scope="module")
def looked(root: Path) -> Looked:
    return look(root, sql=SQL)


def test_apps_that_no_context_declares_are_contexts_of_their_own(looked: Looked) -> None:
    apps = looked.told["apps"]
    asked = ("orders", "carts", "src_app.billing", "core", "ns.wide", "django.contrib.auth", "strangler")
    assert {name: apps[name] for name in asked} == {
        "orders": "sales", "carts": "sales", "src_app.billing": "money", "core": "core", "ns.wide": "wide",
        "django.contrib.auth": "platform", "strangler": "platform",
    }  # fmt: skip
    assert looked.told["faces"] == ["accounts.contract", "core.contract", "notes.contract", "ns.wide.contract", "orders.api",
                                    "src_app.billing.contract"]  # fmt: skip


def test_modules_are_found_in_packages_without_init_below_src_and_beside_the_apps(looked: Looked) -> None:
    files = looked.told["files"]
    assert files["ns.wide.models"] == "ns/wide/models.py"
    assert files["src_app.billing.models"] == "src/src_app/billing/models.py"
    assert {"config.local", "lib.mail", "config", "orders.api"} <= set(files)


def test_tests_are_left_out_and_counted(looked: Looked) -> None:
    assert not [name for name in looked.told["files"] if "test" in name]
    assert looked.told["tests"] == 4  # orders.tests twice: the package hides the module, the one in it, lib.test_mail


def test_relations_of_every_kind_are_found_with_what_a_cut_must_know(looked: Looked) -> None:
    at = "orders/models.py:Order"
    assert {edge for edge in looked.edges("foreign_key", "many_to_many", "one_to_one", "swapped") if edge[1] == "sales"} == {
        ("foreign_key", "sales", "accounts", f"{at}.by", "accounts.Account"),
        ("foreign_key", "sales", "accounts", f"{at}.buyer", "accounts.Account"),
        ("foreign_key", "sales", "accounts", f"{at}.seller", "accounts.Account"),
        ("foreign_key", "sales", "accounts", f"{at}.packer", "accounts.Account"),
        ("foreign_key", "sales", "core", "orders/models.py:Line.thing", "core.Thing"),
        ("foreign_key", "sales", "core", "orders/models.py:Made.thing", "core.Thing"),
        ("many_to_many", "sales", "core", f"{at}.lines", "core.Thing"),
        ("many_to_many", "sales", "core", f"{at}.tags", "core.Thing"),
        ("swapped", "sales", "accounts", f"{at}.buyer", "AUTH_USER_MODEL"),
        ("swapped", "sales", "accounts", f"{at}.packer", "AUTH_USER_MODEL"),
    }
    notes = {edge["where"]: edge["note"] for edge in looked.told["edges"] if edge["kind"] in ("foreign_key", "many_to_many")}
    assert notes[f"{at}.seller"] == "on_delete=SET_DEFAULT, db_constraint=False"
    assert notes[f"{at}.packer"] == "on_delete=SET, swappable=AUTH_USER_MODEL"
    assert notes[f"{at}.lines"] == "through=orders.Line"
    assert notes["src/src_app/billing/models.py:Bill.order"] == "on_delete=DO_NOTHING"


def test_a_field_of_an_abstract_base_is_shown_where_it_stands(looked: Looked) -> None:
    (by,) = (
        edge for edge in looked.told["edges"] if edge["where"] == "orders/models.py:Order.by" and edge["kind"] == "foreign_key"
    )
    assert by["evidence"][0]["file"] == "core/models.py"
    assert by["evidence"][0]["text"].startswith("by = models.ForeignKey")


def test_a_class_that_is_made_while_the_program_runs_has_a_place_and_no_line(looked: Looked) -> None:
    (made,) = (edge for edge in looked.told["edges"] if edge["where"].endswith("Made.thing") and edge["kind"] == "foreign_key")
    assert made["evidence"] == [{"file": "orders/models.py", "line": 0, "text": "", "count": 0, "by": []}]
    assert looked.told["looked_at"]["models_without_source"] == 1


def test_what_relations_put_on_the_other_side_is_found_unless_it_is_hidden(looked: Looked) -> None:
    assert {(edge[1], edge[2], edge[4]) for edge in looked.edges("reverse_accessor")} == {
        ("accounts", "sales", "accounts.Account.order_set"),
        ("accounts", "sales", "accounts.Account.sold"),
        ("accounts", "sales", "accounts.Account.packed"),
        ("core", "sales", "core.Thing.ordered"),
        ("core", "sales", "core.Thing.order_set"),
        ("core", "sales", "core.Thing.line_set"),
        ("core", "sales", "core.Thing.made_set"),
        ("sales", "notes", "orders.Order.remark_set"),
        ("sales", "wide", "orders.Order.wide"),
        ("sales", "money", "orders.Order.bill_set"),
    }


def test_lineage_is_told_by_direct_bases_alone(looked: Looked) -> None:
    assert looked.edges("inheritance", "proxy") == {
        ("inheritance", "sales", "core", "orders/models.py:Order", "core.models.Stamped"),
        ("inheritance", "sales", "core", "orders/models.py:Parcel", "core.Thing"),
        ("proxy", "sales", "core", "orders/models.py:Cheap", "core.Thing"),
    }


def test_managers_are_told_by_their_class_their_querysets_and_what_their_default_query_joins(looked: Looked) -> None:
    assert looked.edges("manager") == {
        ("manager", "sales", "core", "orders/models.py:Order.objects", "core.models.LiveManager"),
        ("manager", "sales", "core", "orders/models.py:Order.live", "core.models.Live"),
        ("manager", "notes", "core", "notes/models.py:Remark.objects", "core.Thing"),
        ("manager", "notes", "sales", "notes/models.py:Remark.with_order", "orders.Order"),
        ("manager", "notes", "sales", "notes/models.py:Remark.ordered", "orders.Order"),
    }
    assert "no tenant" in looked.skipped("manager")["notes/models.py:Remark.failing"]


def test_generic_keys_point_to_what_rows_and_generic_relations_say(looked: Looked) -> None:
    assert looked.edges("generic_foreign_key") == {
        ("generic_foreign_key", "notes", "core", "notes/models.py:Remark.about", "notes.Remark.about"),
        ("generic_foreign_key", "notes", "sales", "notes/models.py:Remark.about", "notes.Remark.about"),
        ("generic_foreign_key", "sales", "notes", "orders/models.py:Order.remarks", "notes.Remark"),
    }
    assert looked.skipped("generic_foreign_key") == {
        "notes/models.py:Mark.about": "no row says what it points to, and no model has a GenericRelation to it"
    }


def test_sqlites_catalogue_is_read_too(looked: Looked) -> None:
    assert looked.edges("database_view", "trigger", "constraint") == {
        ("database_view", "project", "money", "database:dues", "billing_bill"),
        ("database_view", "project", "sales", "database:dues", "orders_order"),
        ("database_view", "project", "money", "database:wide_dues", "billing_bill"),
        ("database_view", "project", "sales", "database:wide_dues", "orders_order"),
        ("database_view", "project", "wide", "database:wide_dues", "wide_wide"),
        ("trigger", "money", "sales", "database:settled", "orders_order"),
        ("constraint", "core", "money", "database:core_thing.bill_id", "billing_bill"),
    }


def test_each_context_is_told_what_it_is_made_of(looked: Looked) -> None:
    notes = looked.told["contexts"]["notes"]
    assert (notes["declared"], notes["apps"], notes["lines"] > 20) == (False, ["notes"], True)
    assert {one["table"]: one["rows"] for one in notes["tables"]} == {"notes_long": 0, "notes_mark": 0, "notes_remark": 2}


def test_moves_and_merges_draw_another_atlas_of_the_same_project(root: Path) -> None:
    looked = look(root, moves={"orders.order": "money"}, merges=[("core", "accounts")])
    assert looked.told["tables"]["orders_order"] == looked.told["tables"]["orders_order_tags"] == "money"
    assert looked.told["labels"]["accounts"] == "core"
    assert ("foreign_key", "sales", "money", "orders/models.py:Line.order", "orders.Order") in looked.edges()
    assert {(edge[1], edge[2]) for edge in looked.edges("swapped")} == {
        ("money", "core")
    }  # Order's own; Team and Account are one now
