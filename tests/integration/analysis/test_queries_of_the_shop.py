"""The shop's list of couplings, against what is read in its source: every one is found, and nothing besides."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from django.conf import settings

from strangler.analysis import survey
from strangler.analysis.static import walk
from strangler.analysis.static.queries import Queries
from strangler.analysis.static.raw_sql import RawSql
from strangler.analysis.static.relations_in_templates import relations_in_templates
from strangler.domain.coupling.atlas import PROJECT

SHOP = Path(settings.BASE_DIR) / "monolith"
LISTED = tomllib.loads((SHOP / "couplings.toml").read_text(encoding="utf-8"))["coupling"]
VIEW = "monolith/shell/migrations/0002_daily_sales.py"  # listed as the view that it makes


def listed(kind: str) -> set[tuple[str, str]]:
    return {(entry["where"], to) for entry in LISTED if entry["kind"] == kind for to in entry["to"]}


@pytest.mark.parametrize("kind", ["lookup", "select_related", "prefetch_related", "raw_sql"])
def test_what_the_shop_lists_is_found_and_no_more(kind: str) -> None:
    found = walk.scan(survey.project(), (Queries, RawSql))
    assert found.skipped == ()
    edges = [edge for edge in found.edges if edge.kind == kind and edge.source != PROJECT and VIEW not in edge.where]
    assert {(edge.where, edge.target) for edge in edges} == listed(kind)


def test_the_template_that_follows_relations_is_found() -> None:
    project = survey.project()
    folder = SHOP / "orders" / "templates"
    templates = {page.relative_to(folder).as_posix(): ("orders", page) for page in folder.rglob("*.html")}
    found = relations_in_templates(type(project)(project.root, project.atlas, project.models, templates=templates))
    assert {(edge.where, edge.target) for edge in found.edges} == {
        (where.partition(":")[0], to) for where, to in listed("template")
    }
    assert {edge.what for edge in found.edges} >= {"order.customer.user.email", "line.product.name", "order.payments.all"}
