"""The ledger against the labelled corpus: every kind is found where it is, and not where something only looks like it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strangler.domain.coupling.edges import Kind
from tests.corpus_analysis.reading import projects
from tests.corpus_analysis.scoring import Score, scores, told

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.corpus_analysis.looking"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, check=False)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def table(answers: dict[str, Any]) -> dict[str, Score]:
    return scores(projects(), {name: answer["edges"] for name, answer in answers.items()})


def test_every_project_can_be_analysed(answers: dict[str, Any]) -> None:
    assert {name: answer["error"] for name, answer in answers.items() if answer["error"]} == {}


def test_what_cannot_be_read_is_named_and_nothing_else_of_the_code(answers: dict[str, Any]) -> None:
    for project in projects():
        files = {where for what, where, _ in answers[project.name]["skipped"] if what == "file"}
        assert files == project.skipped, project.name


@pytest.mark.parametrize("kind", [kind.value for kind in Kind])
def test_the_kind_is_found_where_it_is_and_not_elsewhere(table: dict[str, Score], kind: str) -> None:
    assert table[kind].met, told(table[kind])
