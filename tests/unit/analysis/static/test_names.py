"""What a dotted name in the source stands for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from strangler.analysis.static import walk
from strangler.analysis.static.source import Finding, Project, Source
from strangler.domain.coupling.edges import Kind
from tests.unit.analysis.static.sources import project

AT = "shop/payments/views.py"
MODELS = {"shop/orders/models.py": "class Order: ...\nclass Line: ...\ndef first(): ..."}


class Asks:
    """Finds every argument of a call of ``ask``."""

    nodes: ClassVar[tuple[type[ast.AST], ...]] = (ast.Call,)

    def __init__(self, project: Project, source: Source) -> None:
        self.source = source

    def look(self, node: ast.AST) -> Iterator[Finding]:
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ask":
            yield Finding(Kind.IMPORT, "orders", self.source.dotted(node.args[0]))


def asked(root: Path, text: str, files: dict[str, str] | None = None) -> list[str]:
    known = project(root, {AT: text, **MODELS, **(files or {})})
    return [
        f"{edge.where.partition(':')[2]} {edge.what}" for edge in walk.scan(known, (Asks,)).edges if edge.where.startswith(AT)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "from shop.orders.models import Order\nask(Order)",
        "from shop.orders import models\nask(models.Order)",
        "from ..orders import models as m\nask(m.Order)",
        "import shop.orders.models\nask(shop.orders.models.Order)",
        "import shop.orders.models as m\nOrder = m.Order\nask(Order)",
        "from shop.orders.models import *\nask(Order)",
        "try:\n    from shop.orders.models import Order\nexcept ImportError:\n    Order = None\nask(Order)",
        "from shop.orders.models import Order as O\nclass A:\n    ask(O)",
    ],
)
def test_a_name_stands_for_what_was_imported(tmp_path: Path, text: str) -> None:
    [got] = asked(tmp_path, text)
    assert got.endswith(" shop.orders.models.Order")


@pytest.mark.parametrize(
    ("exports", "name"),
    [
        ({"shop/orders/__init__.py": "from .models import Order"}, "shop.orders.Order"),
        ({"shop/orders/__init__.py": "from .models import *"}, "shop.orders.Order"),
        ({"shop/orders/__init__.py": "from shop.orders.models import Order as Known"}, "shop.orders.Known"),
        (
            {"shop/api/__init__.py": "from .v1 import *", "shop/api/v1.py": "from shop.orders.models import Order"},
            "shop.api.Order",
        ),
        (
            {"shop/__init__.py": "from shop.deep import models", "shop/deep.py": "import shop.orders.models as models"},
            "shop.models.Order",
        ),
    ],
)
def test_a_name_that_a_package_hands_on_is_followed_to_where_it_is_defined(
    tmp_path: Path, exports: dict[str, str], name: str
) -> None:
    module, _, last = name.rpartition(".")
    for text in (f"from {module} import {last}\nask({last})", f"import {module}\nask({name})"):
        assert asked(tmp_path, text, exports) == ["* shop.orders.models.Order"]


def test_packages_that_import_each_other_in_a_circle_end_somewhere(tmp_path: Path) -> None:
    circle = {
        "shop/a.py": "from shop.b import X\nfrom shop.b import *",
        "shop/b.py": "from shop.a import X\nfrom shop.a import *",
    }
    assert asked(tmp_path, "from shop.a import X, Y\nask(X)\nask(Y)", circle) == ["* shop.b.X", "* shop.a.Y"]


def test_a_definition_of_its_own_hides_what_a_module_imports(tmp_path: Path) -> None:
    exports = {"shop/orders/__init__.py": "from .models import *\nclass Order: ..."}
    assert asked(tmp_path, "from shop.orders import Order\nask(Order)", exports) == ["* shop.orders.Order"]


def test_names_of_a_function_hide_those_of_the_module_there_alone(tmp_path: Path) -> None:
    text = """
from shop.orders.models import Order
def given(Order): ask(Order)
def made():
    Order = 1
    ask(Order)
def looped():
    for Order in ():
        ask(Order)
def late():
    from shop.customers.models import Customer as Order
    def inner(): ask(Order)
def outer():
    global Order
    ask(Order)
class Page:
    Order = 2
    def method(self): ask(Order)
    def key(self, *, text=ask(Order)): ...
"""
    assert asked(tmp_path, text) == [
        "given Order",
        "made Order",
        "looped Order",
        "late.inner shop.customers.models.Customer",
        "outer shop.orders.models.Order",
        "Page.method shop.orders.models.Order",
        "Page Order",
    ]


def test_what_lies_elsewhere_is_named_by_the_package_around(tmp_path: Path) -> None:
    away = tmp_path / "site-packages" / "shop" / "orders"
    found = project(tmp_path / "here", {})
    files = {"shop": away.parent / "__init__.py", "shop.orders": away / "__init__.py", "shop.orders.views": away / "views.py"}
    found = replace(found, files=files)
    assert found.named(away / "views.py", "shop.orders.views") == "shop/orders/views.py"
    assert found.named(away / "templates" / "orders" / "list.html") == "shop/orders/templates/orders/list.html"
    assert found.named(away.parent / "templates" / "base.html") == "shop/templates/base.html"
    assert found.named(tmp_path / "elsewhere" / "base.html") == (tmp_path / "elsewhere" / "base.html").as_posix()
