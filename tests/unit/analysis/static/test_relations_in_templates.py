"""Variables of templates that lead through relations to other contexts."""

from __future__ import annotations

from pathlib import Path

import pytest

from strangler.analysis.static.relations_in_templates import relations_in_templates
from tests.unit.analysis.static.shop import project


def found(root: Path, text: str | bytes, name: str = "orders/page.html", context: str = "orders", view: str = "") -> set[str]:
    """``customers order.customer.name``"""
    page, code = root / "page.html", root / "views.py"
    page.write_bytes(text if isinstance(text, bytes) else text.encode())
    code.write_text(view)
    seen = relations_in_templates(project(root, templates={name: (context, page)}, files={"shop.orders.views": code}))
    return {f"{edge.target} {edge.what}" for edge in seen.edges} | {f"skipped {one.where}" for one in seen.skipped}


NAME = {"customers order.customer.name"}
FOUND = {
    "{{ order.customer.name|upper }}": NAME,
    "{{ order.customer.account.email }}": {"customers order.customer.account.email", "accounts order.customer.account.email"},
    "{{ order.customer_id }} {{ order.number }} {{ order.extra.customer.name }}": set(),
    "{% if order.customer.name == 'x' %}{% endif %}": NAME,
    "{{ order.number|default:order.customer.name }}": NAME,
    "{% url 'x' order.customer.name %}": NAME,
    "{% for line in order.lines.all %}{{ line.product.name }}{% endfor %}": {"products line.product.name"},
    "{% for line in order.lines.all %}{% endfor %}{{ line.product.name }}": {
        "products line.product.name"
    },  # a model's name again
    "{% for each in order.lines.all %}{% endfor %}{{ each.product.name }}": set(),
    "{% for each in orders %}{{ each.customer.name }}{% endfor %}": {"customers each.customer.name"},
    "{% for order in waiting reversed %}{{ order.customer.name }}{% endfor %}": NAME,
    "{% for a, b in order.lines.all %}{{ a.product.name }}{% endfor %}": set(),
    "{% with c=order.customer d=1 %}{{ c.region.name }}{% endwith %}": {"customers order.customer", "customers c.region.name"},
    "{% with order.customer as c %}{{ c.region.name }}{% endwith %}": {"customers order.customer", "customers c.region.name"},
    "{% with order=order.number %}{{ order.customer.name }}{% endwith %}": set(),
    "{# {{ order.customer.name }} #}{% comment %}{{ order.customer.name }}{% endcomment %}": set(),
    "{% verbatim %}{{ order.customer.name }}{% endverbatim %} order.customer.name": set(),
    "{{ 'order.customer.name' }} {{ unknown.customer.name }} {{ customer.region.name }}": set(),
    "{% endfor %}{% endwith %}{{ }}{% %}{{ order.customer.name }}": NAME,
    "{%- for o in orders -%}{{- o.customer.name -}}{%- endfor -%}": {"customers o.customer.name"},
    "{% set c = order.customer %}{{ c.region.name }}": {"customers order.customer", "customers c.region.name"},
    "{{ object.customer.name }}": set(),
}


@pytest.mark.parametrize("text", FOUND)
def test_paths_are_followed(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == FOUND[text]


def test_object_is_what_the_view_or_the_name_of_the_template_tells(tmp_path: Path) -> None:
    view = "class V(DetailView):\n model = Order\n template_name = 'orders/page.html'"
    assert found(tmp_path, "{{ object.customer.name }}", view=view) == {"customers object.customer.name"}
    named = f"{view}\n context_object_name = 'shown'"
    assert found(tmp_path, "{{ shown.customer.name }} {{ other.customer.name }}", view=named) == {"customers shown.customer.name"}
    listed = "{% for each in object_list %}{{ each.customer.name }}{% endfor %}"
    assert found(tmp_path, listed, "orders/order_list.html") == {"customers each.customer.name"}


def test_a_template_that_is_no_text_is_named(tmp_path: Path) -> None:
    assert found(tmp_path, b"\xff\xfe{{ order.customer.name }}") == {"skipped page.html"}
