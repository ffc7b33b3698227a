"""The ledger on a terminal: short unless all is asked for, what is left out counted, and a project's words only text."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from strangler.analysis.reports import document
from strangler.analysis.reports.judging import Judged
from strangler.domain.coupling.edges import Edge, Evidence, Kind
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.quote import quote
from strangler.management import maps
from tests.unit.analysis.reports import ledgers


def printed(shown: list[Any]) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=160, highlight=False, no_color=True)
    for part in shown:
        console.print(part)
    return stream.getvalue()


def test_a_small_map_in_full() -> None:
    text = printed(maps.overview(Judged(ledgers.small()), every=False))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[:7] == [
        "7 crossings between 4 pairs of contexts, 1 of them through a contract, 1 the project's own wiring",
        "static: 42 files; live: 6 models; runtime: nothing recorded; run pytest --strangler-ledger",
        "who knows whom",
        "payments → orders 3 lookup 1, foreign_key 1, join 1",
        "orders → payments 2 seam 1, signal 1",
        "payments → users 1 lookup 1",
        "project → orders 1 url_include 1",
    ]
    assert "not looked at: 1" in lines
    assert "1 file shop/broken.py: invalid syntax (line 3)" in lines


def test_what_is_declared_is_held_against_what_ran_where_both_are_known() -> None:
    ledger = ledgers.small()
    assert "seen to run" not in printed(maps.overview(Judged(ledger), every=False))
    ran = Edge(Kind.FOREIGN_WRITE, "users", "orders", "shop/users/upkeep.py:forget", "orders_order")
    recorded = replace(ledger, edges=(*ledger.edges, ran), looked_at={**ledger.looked_at, "runtime": {"statements": 9}})
    text = " ".join(printed(maps.overview(Judged(recorded), every=False)).split())
    assert "seen to run, and declared nowhere: 2" in text  # a join of the ledger is the other
    assert "foreign_write users → orders orders_order shop/users/upkeep.py:forget" in text
    assert "declared, and never seen to run:" in text
    told = document.whole(Judged(recorded))["exercise"]
    assert ["foreign_write", "users", "orders", "shop/users/upkeep.py:forget", "orders_order"] in told["unseen"]
    assert document.whole(Judged(ledger))["exercise"] is None


def test_what_is_left_out_is_counted_and_all_shows_it() -> None:
    judged = Judged(ledgers.large(9, 400))
    short, whole = printed(maps.overview(judged, every=False)), printed(maps.overview(judged, every=True))
    assert f"and {9 * 8 - maps.PAIRS} pairs more: --all" in short
    assert "--all" not in whole
    assert whole.count(" → ") >= 9 * 8
    one = quote(judged.ledger, "context00")
    crossings = len(judged.weighed("context00"))
    assert f"and {crossings - maps.EDGES} more: strangler analyze context00 --all" in printed(
        maps.context(judged, one, every=False)
    )
    assert printed(maps.context(judged, one, every=True)).count("\n    → ") == crossings


@pytest.mark.parametrize("every", [False, True])
def test_no_word_of_a_project_is_a_sequence_of_the_terminals_or_markup(every: bool) -> None:
    bad = "\x1b]0;taken\x07\x1b[2J[bold red]x[/]"
    edge = replace(
        ledgers.edge(Kind.IMPORT, "a", "b", bad, where=f"{bad}.py:*"), note=bad, evidence=(Evidence(bad, 1, bad, 2, (bad,)),)
    )
    judged = Judged(Ledger({name: ledgers.facts(name) for name in ("a", "b", bad)}, (edge,)))
    for shown in (
        maps.overview(judged, every=every),
        *(maps.context(judged, quote(judged.ledger, name), every=every) for name in ("a", bad)),
    ):
        text = printed(shown)
        assert "\x1b" not in text
        assert "\x07" not in text
    assert "[bold red]x[/]" in text


def test_an_empty_ledger_says_so() -> None:
    assert "0 crossings between 0 pairs" in printed(maps.overview(Judged(Ledger()), every=False))


def test_a_long_line_is_cut_for_the_terminal() -> None:
    edge = ledgers.edge(Kind.RAW_SQL, "a", "b", text="SELECT " + "x, " * 400)
    judged = Judged(Ledger({name: ledgers.facts(name) for name in ("a", "b")}, (edge,)))
    assert "x,…" in printed(maps.context(judged, quote(judged.ledger, "a"), every=True)).replace("\n", "").replace(" ", "")
