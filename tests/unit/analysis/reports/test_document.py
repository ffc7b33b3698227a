"""The JSON of ``analyze`` is what its published schema says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from strangler.analysis.reports import document
from strangler.analysis.reports.judging import Judged
from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.proposal import proposal
from strangler.domain.coupling.quote import quote
from strangler.domain.coupling.whatif import merged
from tests.unit.analysis.reports import ledgers

SCHEMA = json.loads((Path(__file__).parents[4] / "docs" / "reference" / "ledger.schema.json").read_text(encoding="utf-8"))
CHECK = jsonschema.Draft202012Validator(SCHEMA)


def printed(data: Any) -> Any:
    """As it is read by another program; all of it is JSON by itself, without a default for what is not."""
    return json.loads(json.dumps(data))


def test_the_schema_is_one_itself_and_knows_every_kind_and_this_version() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$defs"]["kind"]["enum"] == [kind.value for kind in Kind]
    assert SCHEMA["$defs"]["version"] == {"const": document.VERSION}


@pytest.mark.parametrize(
    "made", [ledgers.small(), ledgers.large(8, 300), ledgers.hostile(), Ledger()], ids=["small", "large", "hostile", "empty"]
)
def test_all_that_analyze_prints_is_valid(made: Ledger) -> None:
    judged = Judged(made)
    CHECK.validate(printed(document.whole(judged)))
    for name in made.contexts:
        CHECK.validate(printed(document.of_context(judged, quote(made, name))))
    CHECK.validate(printed(document.proposed(judged, proposal(made), "[contexts.a]\n")))


def test_what_is_held_against_a_recording_is_valid() -> None:
    made = ledgers.small()
    recorded = replace(made, looked_at={**made.looked_at, "runtime": {"statements": 9}})
    CHECK.validate(printed(document.whole(Judged(recorded))))


def test_what_if_is_valid_and_says_what_changes() -> None:
    before, after = ledgers.small(), merged(ledgers.small(), ["orders", "payments"])
    data = printed(
        document.what_if(
            Judged(before), {"move": {}, "merge": [["orders", "payments"]]}, [(quote(before, "users"), quote(after, "users"))]
        )
    )
    CHECK.validate(data)
    assert document.what_if(Judged(before), {"move": {}, "merge": []}, [(quote(before, "orders"), quote(after, "orders"))])[
        "changes"
    ]["orders"]


def test_nothing_of_the_ledger_is_left_out() -> None:
    data = document.whole(Judged(ledgers.small()))
    assert len(data["edges"]) == len(ledgers.small().edges)
    assert data["skipped"] == [{"what": "file", "where": "shop/broken.py", "why": "invalid syntax (line 3)"}]
    assert data["looked_at"] == {"static": {"files": 42}, "live": {"models": 6}}
    assert all(edge["advice"]["remedy"] for edge in data["edges"])


def test_a_field_that_the_schema_does_not_know_is_not_valid() -> None:
    """The schema is strict, so that a change of the JSON is seen here and not by its readers."""
    data = printed(document.whole(Judged(ledgers.small())))
    assert not CHECK.is_valid({**data, "more": 1})
    assert not CHECK.is_valid({**data, "edges": [{**data["edges"][0], "kind": "telepathy"}]})
