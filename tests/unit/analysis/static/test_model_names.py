"""Models that are named by strings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.analysis.static.sources import lines


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("from django.apps import apps\nX = apps.get_model('orders', 'Order')", "X"),
        ("from django.apps import apps as registry\ndef f(): return registry.get_model('orders.order')", "f"),
        ("import django.apps\ndef f(): return django.apps.apps.get_model('orders', model_name='ORDER')", "f"),
        ("def f(apps, editor): apps.get_model(app_label='orders', model_name='Order')", "f"),
        ("from django.apps import apps\nget = apps.get_model\ndef f(): return get('orders.Order')", "f"),
        ("from django.apps import apps\ndef f():\n    get = apps.get_model\n    return get('orders.Order')", "f"),
        ("from django.apps import apps\ndef f(): apps.get_app_config('orders').get_model('order')", "f"),
        ("from django.apps import apps\nLABEL = 'orders.Order'\ndef f(): return apps.get_model(LABEL)", "f"),
        ("from oscar.core.loading import get_model\nOrder = get_model('orders', 'Order')", "Order"),
        ("class List:\n    model = 'orders.Order'", "List.model"),
        ("def f(): return view(model='orders.Order')", "f"),
        ("MODELS = ['orders.Order', 'payments.Payment']", "MODELS"),
        ("def f(): return resolve_model('orders.Order')", "f"),
        ("def f(): return {'model': 'orders.order'}", "f"),
    ],
)
def test_a_model_named_by_a_string_is_known_by_its_label(tmp_path: Path, text: str, where: str) -> None:
    assert lines(tmp_path, text) == [f"get_model orders {where} orders.Order"]


def test_labels_that_a_loop_goes_through_are_each_known(tmp_path: Path) -> None:
    text = """
from django.apps import apps
def f():
    order, line = (apps.get_model(label) for label in ("orders.Order", "orders.Line"))
    for app, name in [("users", "User"), ("customers", "Customer")]:
        apps.get_model(app, name)
"""
    got = lines(tmp_path, text)
    assert {"get_model orders f orders.Order", "get_model orders f orders.Line", "get_model users f users.User"} <= set(got)


@pytest.mark.parametrize(
    "text",
    [
        "class Cache:\n    def get_model(self, *a): ...\ndef f(): return Cache().get_model('orders', 'Order')",
        "from django.apps import apps\ndef f(name): return apps.get_model(name), apps.get_model('payments.Payment')",
        "from django.apps import apps\napps.get_model('auth', 'User')",
        "HELP = 'orders.Order'\ndef f(): print('orders.Order', {'orders.Order': 1})",
        "from django.db import models\nclass P(models.Model):\n    model = models.ForeignKey('orders.Order', models.CASCADE)",
        "class List:\n    model = 'orders.Gone'\n    other_model = 'orders.views'",
        "def f(): return log.info('orders.Order', extra='orders.Order')",
    ],
)
def test_what_only_looks_like_a_model_s_name_is_none(tmp_path: Path, text: str) -> None:
    assert [line for line in lines(tmp_path, text) if line.startswith("get_model")] == []


def test_a_migration_may_ask_for_a_model_that_is_gone(tmp_path: Path) -> None:
    text = "def forwards(apps, editor):\n    apps.get_model('orders', 'Basket')\n"
    got = lines(tmp_path, text, at="shop/payments/migrations/0002_fill.py")
    assert got == ["get_model orders forwards orders.Basket"]
