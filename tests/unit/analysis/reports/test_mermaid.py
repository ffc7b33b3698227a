"""Mermaid's text says what the map says, and no name is read as Mermaid's own words."""

from __future__ import annotations

import re

from strangler.analysis.reports.mermaid import chart, label
from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.ledger import Ledger
from tests.unit.analysis.reports import ledgers

# What the grammar of flow charts has here: a head, nodes with a quoted label, arrows with one.
TEXT = r'"[^"\[\]{}<>|]*(<br/>\d+ tables?)?"'
LINE = re.compile(rf'flowchart LR|  c\d+(\[{TEXT}\]|\({TEXT}\))|  c\d+ (-->|-\.->)\|"[^"|<>]*"\| c\d+')


def test_every_line_is_one_that_the_grammar_has() -> None:
    for made in (ledgers.small(), ledgers.hostile(), ledgers.large(), Ledger()):
        assert [line for line in chart(made).splitlines() if not LINE.fullmatch(line)] == []


def test_a_small_map_in_full() -> None:
    assert chart(ledgers.small()) == (
        "flowchart LR\n"
        '  c0["users<br/>2 tables"]\n  c1["orders<br/>2 tables"]\n  c2["payments<br/>2 tables"]\n  c3("project")\n'
        '  c2 -->|"1 lookup, 1 foreign_key, 1 join"| c1\n'
        '  c1 -->|"1 seam, 1 signal"| c2\n'
        '  c2 -->|"1 lookup"| c0\n'
        '  c3 -.->|"1 url_include"| c1\n'
    )


def test_words_and_signs_of_its_own_are_only_text_in_a_name() -> None:
    made = Ledger({}, (ledgers.edge(Kind.IMPORT, "end", "subgraph"),))
    assert '("end")' in chart(made)
    assert "  end" not in chart(made)
    assert label('a"b<i>#quot;\nc') == "a#34;b#60;i#62;#35;quot#59; c"
    assert label("Zahlungen & Ärger") == "Zahlungen #38; Ärger"


def test_more_than_three_kinds_are_counted_not_left_out() -> None:
    kinds = (Kind.IMPORT, Kind.LOOKUP, Kind.SIGNAL, Kind.TASK, Kind.ADMIN)
    made = Ledger({}, tuple(ledgers.edge(kind, "a", "b") for kind in kinds))
    assert "1 import, 1 lookup, 1 signal, 2 more" in chart(made)
