"""What nginx and Envoy do otherwise is recorded for every case as it is now, and explained. `make differential` records it."""

from __future__ import annotations

from dataclasses import replace

from tests.corpus import cases, differential

CASES = cases.requests()


def test_every_difference_is_recorded_and_explained() -> None:
    assert differential.complaints(CASES, differential.observed()) == [], "type: make differential"


def test_an_unexplained_a_stale_and_a_missing_record_are_found() -> None:
    seen = differential.observed()
    explained = next(case for case in CASES if case.differs)
    agreed = next(case for case in CASES if not case.differs)
    others = [case for case in CASES if case not in (explained, agreed)]
    [first] = differential.complaints([*others, explained, replace(agreed, raw=b"other")], seen)
    [second] = differential.complaints([*others, explained, replace(agreed, differs={"nginx": "lines"})], seen)
    assert "not recorded" in first
    assert "explains nothing" in second
    unexplained = differential.complaints([*others, agreed, replace(explained, differs={})], seen)
    assert all("nobody says why" in each for each in unexplained)
    assert len(unexplained) == len(explained.differs)
