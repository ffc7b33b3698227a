"""What templates name, as Django reads them: not in comments, not as text, nothing that is only known when it is rendered."""

from __future__ import annotations

from pathlib import Path

import pytest

from strangler.analysis.static.template_tags import wires_in_templates
from strangler.analysis.static.templates import LARGEST
from tests.wires import project

PAGE = "shop/orders/templates/orders/page.html"
URLS = {"mails:list": frozenset({"mails"}), "own": frozenset({"orders"}), "admin:index": frozenset({"platform"})}
OTHERS = {"mails/hint.html": "mails", "mails/base.html": "mails", "orders/own.html": "orders", "admin/base.html": "platform"}


def named(root: Path, text: str, page: str = PAGE) -> list[str]:
    """Of one template of orders: "kind target what line"."""
    edges = wires_in_templates(written(root, text, page)).edges
    return [f"{edge.kind} {edge.target} {edge.what} {edge.evidence[0].line}" for edge in edges if edge.where == page]


def written(root: Path, text: str, page: str = PAGE, **known: object):  # type: ignore[no-untyped-def]
    files = {page: text, **{f"shop/{home}/templates/{name}": "" for name, home in OTHERS.items()}}
    templates = {name: (home, root / f"shop/{home}/templates/{name}") for name, home in OTHERS.items()}
    templates["orders/page.html"] = ("orders", root / page)
    return project(root, files, **{"templates": templates, "urls": URLS, **known})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{% extends "mails/base.html" %}', "template mails mails/base.html 1"),
        ("\n\n{%extends 'mails/base.html'%}", "template mails mails/base.html 3"),
        ('{% if a %}{% for b in c %}{% include "mails/hint.html" with a="b c" only %}', "template mails mails/hint.html 1"),
        ('{% block a %}{% include "../mails/hint.html" %}{% endblock %}', "template mails mails/hint.html 1"),
        ('{% with a="x" %}\n{% url "mails:list" 1 b=a as link %}', "url_name mails mails:list 2"),
        ("<a href=\"{% url 'mails:list' order.pk %}\">", "url_name mails mails:list 1"),
    ],
)
def test_a_literal_name_is_anothers(tmp_path: Path, text: str, found: str) -> None:
    assert named(tmp_path, text) == [found]


@pytest.mark.parametrize(
    "text",
    [
        '{# {% include "mails/hint.html" %} #}',
        '{% comment "why" %}{% include "mails/hint.html" %}{% url "mails:list" %}{% endcomment %}',
        '{% verbatim %}{% include "mails/hint.html" %}{% endverbatim %}',
        '{% verbatim it %}{% endverbatim %}{% include "mails/hint.html" %}{% endverbatim it %}',
        '{% include\n"mails/hint.html" %}',  # no tag: Django's end on their line
        "{% extends base %}{% include name %}{% url name %}{% include 'mails/'|add:name %}",
        'include "mails/hint.html" {{ "mails/hint.html" }} {% translate "mails/hint.html" %}',
        '{% include "orders/own.html" %}{% include "mails/nothing.html" %}{% extends "admin/base.html" %}',
        '{% url "own" %}{% url "admin:index" %}{% url "nobody" %}',
    ],
)
def test_what_only_looks_like_a_name_is_none(tmp_path: Path, text: str) -> None:
    assert named(tmp_path, text) == []


def test_reading_goes_on_behind_a_comment(tmp_path: Path) -> None:
    text = '{% comment %}{% verbatim %}{% endcomment %}{% verbatim %}{# {% endverbatim %}{% include "mails/hint.html" %}'
    assert named(tmp_path, text) == ["template mails mails/hint.html 1"]


@pytest.mark.parametrize(
    "text",
    [
        '{% include ["no.html", "mails/hint.html"] ignore missing %}',
        '{%- import "mails/hint.html" as forms -%}',
        '{% from "mails/hint.html"\nimport field %}',
    ],
)
def test_jinjas_tags_are_read_as_jinja_does(tmp_path: Path, text: str) -> None:
    assert named(tmp_path, text, "shop/orders/jinja2/orders/page.html") == ["template mails mails/hint.html 1"]


def test_jinjas_url_is_a_function(tmp_path: Path) -> None:
    assert named(tmp_path, "<a href=\"{{ url('mails:list', args=[1]) }}\">", "shop/orders/jinja2/x.html") == [
        "url_name mails mails:list 1"
    ]


def test_a_template_that_extends_its_own_name_extends_the_one_it_overrides(tmp_path: Path) -> None:
    mine, theirs = tmp_path / PAGE, tmp_path / "shop/mails/templates/mails/base.html"
    text = '{% extends "mails/base.html" %}'
    made = written(
        tmp_path, text, templates={"mails/base.html": ("orders", mine)}, shadowed={"mails/base.html": (("mails", theirs),)}
    )
    assert [edge.key for edge in wires_in_templates(made).edges] == [("template", "orders", "mails", PAGE, "mails/base.html")]


def test_the_same_name_twice_is_one_edge_with_two_proofs(tmp_path: Path) -> None:
    found = wires_in_templates(written(tmp_path, '{% url "mails:list" %}\n{% url "mails:list" 2 %}'))
    assert [[proof.line for proof in edge.evidence] for edge in found.edges] == [[1, 2]]
    assert found.looked_at == {"templates": 4}  # Django's is not the project's


def test_what_can_not_be_read_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    made = written(tmp_path, '{% include "mails/hint.html" %}')
    (tmp_path / "shop/orders/templates/orders/own.html").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "shop/mails/templates/mails/base.html").unlink()
    (tmp_path / "shop/mails/templates/mails/hint.html").write_text("x" * (LARGEST + 1))
    found = wires_in_templates(made)
    assert len(found.edges) == 1
    assert [each.where.rpartition("/")[2] for each in found.skipped] == ["base.html", "hint.html", "own.html"]
    assert all(each.what == "template" and each.why for each in found.skipped)
