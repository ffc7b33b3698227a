"""What the registry and the catalogue say of the shop, held against its list of couplings, both ways."""

from __future__ import annotations

import tomllib

import pytest
from django.conf import settings

from strangler.analysis import live, survey
from strangler.domain.coupling.edges import Edge, Kind

UNITS = ("users", "customers", "products", "orders", "payments", "shell")
LISTED = tomllib.loads((settings.BASE_DIR / "monolith" / "couplings.toml").read_text(encoding="utf-8"))["coupling"]


@pytest.fixture
def found(db: None) -> tuple[Edge, ...]:
    return live.read(survey.project()).edges


def seen(edges: tuple[Edge, ...], kind: Kind) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.where, edge.target) for edge in edges if edge.kind is kind}


def listed(kind: Kind) -> set[tuple[str, str, str]]:
    return {(one["from"], one["where"], to) for one in LISTED if one["kind"] == kind for to in one["to"] if to != one["from"]}


def test_dump(found):
    for one in found:
        print(one.kind, one.source, one.target, one.where, one.what, one.note, one.evidence)
    result = live.look(survey.project())
    print(result.sizes, result.found.skipped, result.found.looked_at)


@pytest.mark.parametrize("kind", [Kind.FOREIGN_KEY, Kind.ONE_TO_ONE, Kind.MANY_TO_MANY, Kind.DATABASE_VIEW, Kind.TRIGGER])
def test_the_shops_list_is_found_whole_and_nothing_else(found: tuple[Edge, ...], kind: Kind) -> None:
    assert seen(found, kind) == listed(kind)


def test_dump2(found):
    from strangler.analysis.survey.facts import facts

    p = survey.project()
    print(p.tests, len(p.files), list(p.files)[:10], p.atlas)
    for one in facts(p, live.look(p).sizes)[0].values():
        print(one)
