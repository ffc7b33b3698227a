"""The corpus itself: its labels can be read, name what is there, and leave no kind out; and how answers are held against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from strangler.domain.coupling.edges import RUNTIME, Kind
from tests.corpus_analysis import reading
from tests.corpus_analysis.reading import Misread, projects, read
from tests.corpus_analysis.scoring import scores, told

IMPORT = ("import", "payments", "orders", "payments/views.py:*", "orders.models")
OTHER = ("import", "payments", "orders", "payments/forms.py:*", "orders.models")
TEXT = """\
Two apps.
apps: orders payments
--- payments/views.py ---
import orders.models
--- labels ---
import  payments > orders  payments/views.py:*  orders.models
not import  payments/forms.py:*  a comment
skipped  payments/old.py
"""


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_enough_labels_for_a_share_to_mean_something(kind: Kind) -> None:
    seldom = kind in (*RUNTIME, Kind.CONSTRAINT, Kind.DATABASE_VIEW, Kind.TRIGGER)  # each costs a project with a database
    assert sum(edge[0] == kind for project in projects() for edge in project.edges) >= (12 if seldom else 20)


def test_there_are_projects_without_whom_nothing_would_tell_a_coupling_from_its_look_alike() -> None:
    assert {other.kind for project in projects() for other in project.look_alikes} == {kind.value for kind in Kind}


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_labels_name_files_of_the_project(project: reading.Labelled) -> None:
    places = {edge[3] for edge in project.edges} | {other.where for other in project.look_alikes} | project.skipped
    assert {place.partition(":")[0] for place in places} <= {*project.files, "database"}


@pytest.mark.parametrize("project", projects(), ids=lambda project: project.name)
def test_no_edge_is_labelled_where_a_look_alike_of_its_kind_is(project: reading.Labelled) -> None:
    edges = {(edge[0], edge[3]) for edge in project.edges if not edge[3].endswith(":*")}
    assert not edges & {(other.kind, other.where) for other in project.look_alikes}


def test_a_project_is_read_and_written(tmp_path: Path) -> None:
    project = read("two", TEXT)
    assert (project.about, project.apps, project.database) == ("Two apps.", ("orders", "payments"), "none")
    assert (project.edges, project.skipped) == (frozenset([IMPORT]), frozenset(["payments/old.py"]))
    project.write(tmp_path)
    assert (tmp_path / "payments/__init__.py").exists()
    assert (tmp_path / "payments/views.py").read_text() == "import orders.models\n"
    assert "'orders', 'payments'" in (tmp_path / "config/settings.py").read_text()


@pytest.mark.parametrize(
    "label",
    [
        "import payments orders x.py:* orders.models",
        "importing payments > orders x.py:* orders.models",
        "not importing x.py:* why",
        "import payments > orders payments/views.py:*  orders.models",
        "skipped",
    ],
)
def test_a_label_that_is_none_or_stands_twice_is_refused(label: str) -> None:
    with pytest.raises(Misread):
        read("two", f"{TEXT}{label}\n")


def test_a_miss_and_a_false_alarm_count_and_are_named() -> None:
    project = read("two", TEXT)
    score = scores([project], {"two": [OTHER]})["import"]
    assert (score.recall, score.precision, score.met, score.look_alikes) == (0.0, 0.0, False, 1)
    assert "missed: two: import payments > orders payments/views.py:* orders.models" in told(score)
    assert "false alarm: two: import payments > orders payments/forms.py:* orders.models" in told(score)


def test_what_is_as_labelled_meets_the_target_and_what_nobody_labelled_does_not() -> None:
    table = scores([read("two", TEXT)], {"two": [IMPORT]})
    assert table["import"].met
    assert not table["lookup"].met


def test_edges_of_a_base_count_neither_as_found_nor_as_false() -> None:
    project = read("more", "base: shop\n--- labels ---\n")
    assert not any(score.found or score.missed or score.false for score in scores([project], {"more": project.known}).values())
