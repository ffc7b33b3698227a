"""The picture is the same each time, shows every pair, and lets no name out of its quotes."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from itertools import permutations

import pytest

from strangler.analysis.reports.families import BY_KIND, FAMILIES
from strangler.analysis.reports.layout import HEIGHT, WIDTH, order, places
from strangler.analysis.reports.picture import drawing, shown
from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.ledger import Ledger
from tests.unit.analysis.reports import ledgers

SVG = "{http://www.w3.org/2000/svg}"


def test_every_kind_has_one_family() -> None:
    assert set(BY_KIND) == set(Kind)
    assert sum(len(family.kinds) for family in FAMILIES) == len(Kind)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_its_colours_can_be_told_from_both_grounds(family) -> None:
    """4.5 : 1, since the numbers on the arrows have them too (WCAG 2.2, 1.4.3)."""
    assert 1.05 / (luminance(family.light) + 0.05) >= 4.5
    assert (luminance(family.dark) + 0.05) / (luminance("#10151f") + 0.05) >= 4.5


def test_the_same_ledger_gives_the_same_bytes_in_whatever_order_its_edges_come() -> None:
    ledger = ledgers.small()
    turned = Ledger(dict(reversed(ledger.contexts.items())), ledger.edges[::-1], ledger.skipped, ledger.looked_at)
    assert places([*ledger.contexts], {}) == places([*turned.contexts], {})
    assert drawing(ledger, standalone=True) == drawing(ledgers.small(), standalone=True)
    assert [(one.source, one.target) for one in shown(turned)[1]] == [(one.source, one.target) for one in shown(ledger)[1]]


def test_a_file_of_its_own_is_xml_and_shows_every_pair_and_context() -> None:
    for made in (ledgers.small(), ledgers.large(), ledgers.hostile(), Ledger()):
        tree = ET.fromstring(drawing(made, standalone=True))
        contexts, listed = shown(made)
        heads = [path for path in tree.iter(f"{SVG}path") if path.get("class") == "head"]
        assert len(heads) == len(listed)
        assert len(list(tree.iter(f"{SVG}circle"))) == len(contexts)
        assert not list(tree.iter(f"{SVG}script"))


def test_nothing_stands_outside_of_the_picture() -> None:
    tree = ET.fromstring(drawing(ledgers.large(), standalone=True))
    for circle in tree.iter(f"{SVG}circle"):
        x, y, r = (float(circle.get(name, "nan")) for name in ("cx", "cy", "r"))
        assert r <= x <= WIDTH - r
        assert r <= y <= HEIGHT - r


def test_it_can_be_drawn_without_what_is_no_apps() -> None:
    edges = (
        ledgers.edge(Kind.IMPORT, "a", "project"),
        ledgers.edge(Kind.SETTING, "project", "a"),
        ledgers.edge(Kind.TASK, "a", "b"),
    )
    made = Ledger({name: ledgers.facts(name) for name in ("a", "b", "project")}, edges)
    assert "project" in drawing(made, standalone=True)
    assert "project" not in drawing(made, standalone=True, project=False)


def test_those_who_know_each_other_much_stand_side_by_side() -> None:
    weights = {("a", "d"): 9, ("b", "e"): 9, ("c", "f"): 9, ("a", "b"): 1}
    names = ["a", "b", "c", "d", "e", "f"]

    def length(listed: list[str]) -> int:
        at = {name: index for index, name in enumerate(listed)}
        return sum(weight * min(abs(at[a] - at[b]), 6 - abs(at[a] - at[b])) for (a, b), weight in weights.items())

    assert length(order(names, weights)) == min(length(list(each)) for each in permutations(names))
    assert order(names, weights)[0] == "a"
    assert order([], {}) == []


def test_one_context_stands_in_the_middle() -> None:
    assert places(["only"], {})["only"].x == WIDTH / 2
    assert math.isclose(places(["only"], {})["only"].y, HEIGHT / 2)
