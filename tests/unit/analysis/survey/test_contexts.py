"""Which app is of which context, without Django."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from strangler.analysis.survey.contexts import App, Table, absent, drawn, entry_of, rearranged
from strangler.domain.estate import Context, Estate

OSCAR = Path("/venv/lib/python3.12/site-packages/oscar")
APPS = [
    App("django.contrib.auth", "auth", Path("/src/django/django/contrib/auth")),
    App("oscar.apps.basket", "basket", OSCAR / "apps/basket"),
    App("oscar.apps.order", "order", OSCAR / "apps/order"),
    App("shop.orders", "orders", Path("/code/shop/orders")),
    App("shop.project", "project", Path("/code/shop/project")),
]
TABLES = [
    Table("orders.Order", "orders_order"),
    Table("orders.Order_tags", "orders_order_tags", "orders.Order"),
    Table("orders.Late", ""),
]


def test_an_app_that_is_declared_and_not_installed_is_named_unless_a_service_has_its_requests() -> None:
    here = Context("here", apps=("shop.orders", "shop.misspelt"))
    gone = Context("gone", apps=("shop.gone",), service_urls=("http://127.0.0.1:1",))
    found = absent(Estate(contexts={"here": here, "gone": gone}), {"shop.orders": "here"})
    assert [(one.what, one.where) for one in found] == [("app", "shop.misspelt")]


def test_installed_apps_are_platform_unless_declared_or_named_as_the_projects_own() -> None:
    plain = drawn(APPS, Estate())
    assert [plain.apps[name] for name in ("django.contrib.auth", "oscar.apps.basket", "shop.orders")] == [
        "platform",
        "platform",
        "orders",
    ]
    declared = drawn(APPS, Estate(contexts={"carts": Context("carts", ("oscar.apps.basket",))}))
    assert (declared.apps["oscar.apps.basket"], declared.apps["oscar.apps.order"]) == ("carts", "platform")
    assert (declared.of_module("oscar.apps.basket.views"), declared.of_module("oscar.core.loading")) == ("carts", "platform")
    named = drawn(APPS, Estate(packages=("oscar",)))
    assert (named.apps["oscar.apps.order"], named.of_module("oscar.core.loading")) == ("order", "project")


def test_django_is_platform_wherever_it_lies() -> None:
    assert drawn(APPS, Estate(), also=["django", "config"]).packages == {"shop", "config"}


def test_an_app_that_is_called_project_is_not_the_code_outside_of_apps() -> None:
    atlas = drawn(APPS, Estate())
    assert (atlas.of_module("shop.project.models"), atlas.of_module("shop.urls")) == ("project-app", "project")


def test_a_context_shows_the_faces_that_it_names_and_else_each_apps_contract() -> None:
    contexts = {"sales": Context("sales", ("shop.orders",), contract=("shop.orders.api",))}
    assert drawn(APPS, Estate(contexts=contexts)).faces == {"shop.orders.api", "shop.project.contract"}


def test_a_moved_model_wins_over_its_apps_label_and_takes_its_own_tables_along() -> None:
    atlas = rearranged(drawn(APPS, Estate(), TABLES), TABLES, {"orders.order": "billing"}, [])
    assert (atlas.of_model("orders.Order"), atlas.of_model("Orders.ORDER"), atlas.of_model("orders.Late")) == (
        "billing",
        "billing",
        "orders",
    )
    assert (atlas.of_table("public.Orders_Order"), atlas.of_table("orders_order_tags")) == ("billing", "billing")


def test_merged_contexts_have_the_first_ones_name() -> None:
    contexts = {"sales": Context("sales", ("shop.orders",)), "rest": Context("rest", ("shop.project",))}
    atlas = rearranged(drawn(APPS, Estate(contexts=contexts), TABLES), TABLES, {}, [("rest", "sales")])
    assert (atlas.declared, atlas.of_model("orders.Order"), atlas.of_table("orders_order")) == (("rest",), "rest", "rest")
    assert pickle.loads(pickle.dumps(atlas)) == atlas


@pytest.mark.parametrize(
    ("entry", "name", "config"),
    [
        ("shop.orders", "shop.orders", ""),
        ("shop.orders.apps.OrdersConfig", "shop.orders", "OrdersConfig"),
        ("shop.apps.orders", "shop.apps.orders", ""),  # a package may be called apps
        ("shop.apps.orders.apps.OrdersConfig", "shop.apps.orders", "OrdersConfig"),
        ("shop.config.Shop", "shop", "Shop"),
        ("orders", "orders", ""),
    ],
)
def test_an_app_is_told_from_the_class_that_describes_it(entry: str, name: str, config: str) -> None:
    assert entry_of(entry) == (name, config)
