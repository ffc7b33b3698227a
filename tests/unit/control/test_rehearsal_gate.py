"""The gate ``rehearsal`` reads what ``strangler rehearse`` has kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from strangler.analysis.rehearsing import record
from strangler.control.observe import Observer
from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.rehearsed import Refusal, Rehearsal
from strangler.domain.estate import Context, Gates
from strangler.domain.gates import Verdict
from strangler.domain.stages import Position, Stage

CLEAN = Rehearsal("payments", tests=3, up=("default",))
REFUSED = Refusal(Edge(Kind.FOREIGN_WRITE, "orders", "payments", "a.py:f", "t"), ("test_a",), (), (), True, "")


@pytest.fixture(autouse=True)
def beside(settings: Any, tmp_path: Path) -> None:
    settings.STRANGLER = {**settings.STRANGLER, "ESTATE": str(tmp_path / "strangler.toml")}


def judged(days: float) -> list[Verdict]:
    nobody: Any = None
    observer = Observer(Context("payments", (), gates=Gates(rehearsal_days=days)), nobody, nobody, nobody)
    return observer.judge(Position.of(Stage.CANARY, 100), Position.of(Stage.LIVE), only=("rehearsal",))


def kept(found: Rehearsal, days_ago: float = 0, **changed: Any) -> None:
    at = (datetime.now(UTC) - timedelta(days=days_ago)).isoformat()
    record.write(record.document(found, ["pytest"], 0, unreachable=False) | {"at": at} | changed)


def state(days: float = 7) -> str:
    (verdict,) = judged(days)
    return verdict.state.value


def test_it_is_not_asked_until_somebody_asks_for_it() -> None:
    assert judged(0) == []
    assert state() == "unknown"


def test_a_clean_one_passes_until_it_is_too_old() -> None:
    kept(CLEAN)
    assert state() == "pass"
    kept(CLEAN, days_ago=8)
    assert (state(), state(days=9)) == ("unknown", "pass")


def test_one_that_was_refused_something_fails_however_old() -> None:
    kept(Rehearsal("payments", (REFUSED,), tests=3, up=("default",)), days_ago=99)
    assert state() == "fail"


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "other"},
        {"context": "orders"},
        {"at": "soon"},
        {"at": "2126-01-01T00:00:00+00:00"},
        {"at": "2026-11-26T12:00:00"},
        {"tests": None},
    ],
)
def test_a_file_that_says_something_else_is_none(changed: dict[str, Any]) -> None:
    kept(CLEAN)
    text = record.path("payments").read_text()
    record.path("payments").write_text(json.dumps(json.loads(text) | changed))
    assert state() == "unknown"


def test_a_file_that_is_not_json_is_none() -> None:
    kept(CLEAN)
    for text in ("", "[]", "{", "[" * 100_000):
        record.path("payments").write_text(text)
        assert state() == "unknown"
