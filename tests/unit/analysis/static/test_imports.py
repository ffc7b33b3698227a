"""Imports of another context's modules, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.analysis.static.sources import found, lines

OTHERS = {"shop__orders__models": "", "shop__orders__services": "", "shop__orders____init__": "", "shop__orders__contract": ""}


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("from shop.orders.models import Order, Line", "shop.orders.models"),
        ("from ..orders.models import Order as Known", "shop.orders.models"),
        ("from shop.orders import models, services", "shop.orders.models shop.orders.services"),
        ("from shop.orders import Order", "shop.orders"),
        ("from shop import orders, users", "shop.orders shop.users"),
        ("from .. import orders", "shop.orders"),
        ("import shop.orders.models as m, json, shop.orders.services", "shop.orders.models shop.orders.services"),
        ("from shop.orders.models import *", "shop.orders.models"),
        ("try:\n    from shop.orders import models\nexcept ImportError:\n    models = None", "shop.orders.models"),
        ("class Page:\n    from shop.orders import models", "shop.orders.models"),
    ],
)
def test_an_import_at_module_level_is_one_of_the_module(tmp_path: Path, text: str, module: str) -> None:
    got = lines(tmp_path, text, **OTHERS)
    assert got == [f"import {each.split('.')[1]} * {each}" for each in module.split()]


def test_an_import_in_a_function_is_late_and_stands_there(tmp_path: Path) -> None:
    text = "class Page:\n    async def get(self):\n        def inner():\n            import shop.orders.models\n"
    assert lines(tmp_path, text, **OTHERS) == ["late_import orders Page.get.inner shop.orders.models"]


@pytest.mark.parametrize("test", ["TYPE_CHECKING", "typing.TYPE_CHECKING", "t.TYPE_CHECKING and True", "CHECKING"])
def test_an_import_for_typing_alone_is_told_apart_and_its_other_branch_is_not(tmp_path: Path, test: str) -> None:
    text = f"if {test}:\n    from shop.orders.models import Order\nelse:\n    from shop.orders import services\n"
    text = f"from typing import TYPE_CHECKING as CHECKING\n{text}"
    assert lines(tmp_path, text, **OTHERS) == [
        "import orders * shop.orders.services",
        "typing_import orders * shop.orders.models",
    ]


def test_the_other_branch_of_not_type_checking_is_for_typing_alone(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    from shop.orders import services\n"
    text += "else:\n    from shop.orders.models import Order\nimport shop.orders.signals\n"
    assert lines(tmp_path, text, **OTHERS | {"shop/orders/signals.py": ""}) == [
        "import orders * shop.orders.services",
        "import orders * shop.orders.signals",
        "typing_import orders * shop.orders.models",
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("from shop.orders import contract", "*"),
        ("from shop.orders.contract import place", "*"),
        ("def f():\n    import shop.orders.contract", "f"),
        ("if TYPE_CHECKING:\n    from shop.orders.contract import Order", "*"),
    ],
)
def test_an_import_of_a_contract_is_a_seam_wherever_it_stands(tmp_path: Path, text: str, where: str) -> None:
    assert lines(tmp_path, text, **OTHERS) == [f"seam orders {where} shop.orders.contract"]


@pytest.mark.parametrize(
    ("text", "where", "module"),
    [
        ("import importlib\nX = importlib.import_module('shop.orders.models')", "X", "shop.orders.models"),
        ("from importlib import import_module as load\ndef f(): return load('shop.orders.models')", "f", "shop.orders.models"),
        ("from importlib import import_module\nimport_module('..orders.models', __package__)", "*", "shop.orders.models"),
        (
            "from importlib import import_module\nimport_module('..orders.models', package='shop.users')",
            "*",
            "shop.orders.models",
        ),
        (
            "from django.utils.module_loading import import_string\nimport_string('shop.orders.models.Order')",
            "*",
            "shop.orders.models",
        ),
        ("def f(): __import__('shop.orders.models')", "f", "shop.orders.models"),
        ("from pkgutil import resolve_name\nresolve_name('shop.orders.models:Order')", "*", "shop.orders.models"),
    ],
)
def test_a_module_that_is_imported_by_its_name_is_late(tmp_path: Path, text: str, where: str, module: str) -> None:
    assert lines(tmp_path, text, **OTHERS) == [f"late_import orders {where} {module}"]


@pytest.mark.parametrize(
    "text",
    [
        '"""from shop.orders import models"""\n# import shop.orders\nX = "from shop.orders import models"',
        "from importlib import import_module\ndef f(name): return import_module(name), import_module(f'{name}.models')",
        "from . import orders\nfrom .orders import orders as listed\nfrom shop.payments import services",
        "from django.contrib.auth.models import User\nimport json, shop.payments.models",
        "from ....too.far import away",
    ],
)
def test_what_only_looks_like_an_import_of_another_context_is_none(tmp_path: Path, text: str) -> None:
    assert lines(tmp_path, text, shop__payments__orders="", **OTHERS) == []


def test_the_evidence_is_each_line_that_imports(tmp_path: Path) -> None:
    text = "\n\f\nfrom shop.orders.models import Order\nX = 1\nfrom shop.orders.models import (\n    Line,\n)\n"
    [edge] = found(tmp_path, {"shop/payments/views.py": text}).edges
    assert [(one.file, one.line, one.text) for one in edge.evidence] == [
        ("shop/payments/views.py", 3, "from shop.orders.models import Order"),
        ("shop/payments/views.py", 5, "from shop.orders.models import ("),
    ]


LOADER = "from shop.loading import get_class\nfrom shop import loading\n"


@pytest.mark.parametrize(
    ("call", "place"),
    [
        ("Form = get_class('orders.forms', 'OrderForm')", "Form"),
        ("def f(): return loading.get_class('orders.forms', 'OrderForm')", "f"),
        ("class View:\n    form = get_class('orders.forms', 'OrderForm')", "View.form"),
    ],
)
def test_a_declared_loader_imports_by_name(tmp_path: Path, call: str, place: str) -> None:
    files = {"shop/payments/views.py": LOADER + call, "shop/orders/forms.py": "", "shop/loading.py": ""}
    edges = found(tmp_path, files, loaders={"shop.loading.get_class": "shop"}).edges
    assert ("late_import", "orders", f"shop/payments/views.py:{place}", "shop.orders.forms") in [
        (one.kind, one.target, one.where, one.what) for one in edges
    ]


@pytest.mark.parametrize(
    ("loaders", "call"),
    [
        ({}, "get_class('orders.forms', 'OrderForm')"),
        ({"shop.loading.get_class": "shop"}, "get_class(name, 'OrderForm')"),
        ({"shop.loading.get_class": "shop"}, "get_class()"),
        ({"shop.loading.get_class": "shop"}, "self.get_class('orders.forms', 'OrderForm')"),
        ({"shop.loading.get_class": "shop"}, "get_class('payments.forms', 'PaymentForm')"),
        ({"shop.loading.get_class": ""}, "get_class('json.decoder', 'JSONDecoder')"),
    ],
)
def test_what_only_looks_like_a_load_is_none(tmp_path: Path, loaders: dict[str, str], call: str) -> None:
    files = {"shop/payments/views.py": LOADER + call, "shop/orders/forms.py": "", "shop/loading.py": ""}
    assert [one for one in found(tmp_path, files, loaders=loaders).edges if one.kind == "late_import"] == []
