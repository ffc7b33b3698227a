"""The ledger of projects that nobody here wrote: oscar in ``make test``, all of them in ``make beds``.

``BEDS_WRITE=1`` writes the counts anew; sample what changed by hand before it is kept.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.public.beds import BEDS, Bed, Said

LONG = bool(os.environ.get("STRANGLER_LONG"))
BOUND_S = 120
Looked = Callable[[Bed], tuple[Path, Said, dict[str, Any]]]

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(params=[pytest.param(name, id=name) for name in (BEDS if LONG else ("oscar",))])
def bed(request: pytest.FixtureRequest) -> Bed:
    return BEDS[request.param]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Looked:
    """The project's folder, what the command said, and its answer; once a project. ``map.html`` lies in the folder."""

    @cache
    def look(bed: Bed) -> tuple[Path, Said, dict[str, Any]]:
        folder = bed.laid(tmp_path_factory.mktemp(bed.name) / "project")
        said = bed.analyze(folder, "--json", "--html", "map.html")
        assert said.code == 0, said.err
        print(f"{bed.name}: {said.seconds:.1f} s")
        return folder, said, json.loads(said.out)

    return look


def keys(answer: dict[str, Any]) -> set[tuple[str, ...]]:
    return {tuple(edge[part] for part in ("kind", "source", "target", "where", "what")) for edge in answer["edges"]}


def test_it_ends_in_time_and_names_what_it_could_not_see(bed: Bed, looked: Looked) -> None:
    _, said, answer = looked(bed)
    assert "Traceback" not in said.err
    assert said.seconds < BOUND_S
    assert {f"{one['what']} {one['where']}" for one in answer["skipped"]} == skipped(bed)


def skipped(bed: Bed) -> set[str]:
    return set(json.loads(bed.counts.read_text())["skipped"])


def test_what_was_read_in_its_source_by_hand_is_found(bed: Bed, looked: Looked) -> None:
    expected, found = bed.expected(), keys(looked(bed)[2])
    assert len(expected.edges) >= 25
    assert sorted(expected.edges - found) == []
    assert sorted(bed.unseen() & found) == [], "what is seen now belongs to the labels"


def test_what_only_looks_like_a_coupling_is_none(bed: Bed, looked: Looked) -> None:
    expected, found = bed.expected(), keys(looked(bed)[2])
    assert len(expected.look_alikes) >= 10
    places = {(kind, where) for kind, _, _, where, _ in found}
    assert [one for one in expected.look_alikes if (one.kind, one.where) in places] == []


def test_a_change_of_a_detector_shows(bed: Bed, looked: Looked) -> None:
    answer = looked(bed)[2]
    pinned = {
        "files": answer["looked_at"]["static"]["files"],
        "templates": answer["looked_at"]["static"]["templates"],
        "models": answer["looked_at"]["live"]["models"],
        "edges": dict(sorted(Counter(edge["kind"] for edge in answer["edges"]).items())),
        "skipped": sorted({f"{one['what']} {one['where']}" for one in answer["skipped"]}),
    }
    if os.environ.get("BEDS_WRITE"):
        bed.counts.write_text(json.dumps(pinned, indent=2) + "\n")
    assert pinned == json.loads(bed.counts.read_text())


def test_every_edge_has_its_evidence_and_crosses(bed: Bed, looked: Looked) -> None:
    edges = looked(bed)[2]["edges"]
    assert [edge for edge in edges if not edge["evidence"] and edge["kind"] not in LIVE] == []
    assert [edge for edge in edges if edge["source"] == edge["target"] or "platform" in (edge["source"], edge["target"])] == []


LIVE = (
    "foreign_key",
    "one_to_one",
    "many_to_many",
    "reverse_accessor",
    "inheritance",
    "swapped",
    "manager",
    "generic_foreign_key",
)


def test_the_page_and_the_terminal_tell_the_same(bed: Bed, looked: Looked) -> None:
    folder, _, answer = looked(bed)
    page = (folder / "map.html").read_text(encoding="utf-8")
    names = {one["name"] for one in answer["contexts"]} - {"platform"}
    said = bed.analyze(folder, "--all")
    assert (said.code, "Traceback" in said.err) == (0, False)
    assert [name for name in sorted(names) if name not in page or name not in said.out] == []
    assert "http://" not in page.replace("http://www.w3.org/", "").partition("<script")[0].partition("<body")[0]


@pytest.mark.skipif(not LONG, reason="migrates and fills a PostgreSQL database: make beds")
def test_rows_say_what_generic_keys_point_to(tmp_path: Path, postgres: Any) -> None:
    bed = BEDS["wagtail"]
    folder = bed.laid(tmp_path / "project")
    database = {"DATABASE_URL": postgres.create_database("public_wagtail")}
    for words in (("migrate", "-v0"), ("loaddata", "demosite.json")):
        done = bed.run(folder, "manage.py", *words, **database)
        assert done.code == 0, done.err
    answer = json.loads(bed.analyze(folder, "--json", **database).out)
    assert answer["looked_at"]["live"]["tables"] > 100
    sizes = {one["label"]: one["rows"] for context in answer["contexts"] for one in context["tables"]}
    assert sizes["demosite.EventPage"] is not None
    asked = "generic_foreign_key wagtail/search/models.py:IndexEntry.content_object"
    assert asked in skipped(bed)  # without tables
    assert asked not in {f"{one['what']} {one['where']}" for one in answer["skipped"]}
    assert json.loads(bed.analyze(folder, "--json", **database).out) == answer
