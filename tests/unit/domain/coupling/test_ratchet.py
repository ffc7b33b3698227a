from __future__ import annotations

import string
import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.coupling import ratchet
from strangler.domain.coupling.edges import Edge, Kind
from strangler.domain.coupling.ratchet import Entry, compare, parse, render, unseen_unless, updated

TODAY = date(2026, 11, 26)
EVERYTHING = unseen_unless(recorded=True, database=True, read=lambda file: True)
NEW = Entry(("", "", "", "", ""), "ann", "waits for the contract", None)

words = st.text(string.ascii_letters + " |\\*>#<=\n\r\t:.+,-é\u2028", max_size=12)
names = st.text(string.ascii_letters + "_. >*|\\", min_size=1, max_size=8).filter(lambda name: name.strip())
keys = st.builds(Edge, st.sampled_from(Kind), names, names, st.builds("{}:{}".format, names, names | st.just("*")), words)
days = st.none() | st.dates(date(2020, 1, 1), date(2040, 1, 1))


def entry(edge: Edge, owner: str = "ann", reason: str = "old", until: date | None = None) -> Entry:
    return Entry(edge.key, owner, reason, until)


def edge(where: str = "shop/orders/api.py:get", what: str = "payments_payment", kind: Kind = Kind.RAW_SQL) -> Edge:
    return Edge(kind, "orders", "payments", where, what)


def parsed(text: str) -> tuple[Entry, ...]:
    entries, problems = parse(text)
    assert problems == ()
    return tuple(replace(one, line=0) for one in entries)


def told(line: str) -> str:
    entries, (problem,) = parse(f"\n{line}\n")
    assert (entries, problem.line) == ((), 2)
    return problem.what


@given(st.lists(st.tuples(keys, words, words, days), unique_by=lambda one: one[0].key))
def test_what_is_written_is_read_again_whatever_it_is_called(rows: list[tuple[Edge, str, str, date | None]]) -> None:
    entries = [entry(one, owner or "?", reason or "?", until) for one, owner, reason, until in rows]
    text = render(entries)
    assert sorted(parsed(text), key=str) == sorted(entries, key=str)
    assert render(parsed(text)) == text


@given(st.lists(keys, unique_by=lambda one: one.key), st.data())
def test_after_an_update_nothing_is_new_nor_stale_and_what_stays_is_kept(edges: list[Edge], data: st.DataObject) -> None:
    before = [entry(one, "bob", "history", TODAY) for one in edges if data.draw(st.booleans())]
    now = [one for one in edges if data.draw(st.booleans())]
    compared = compare(before, now, today=TODAY, unseen=EVERYTHING)
    after = parsed(render(updated(before, compared, NEW)))
    again = compare(after, now, today=TODAY, unseen=EVERYTHING)
    assert again.holds(strict=True)
    assert {one.key for one in after} == {one.key for one in now if ratchet.is_ratcheted(one)}
    known = {one.key for one in before}
    assert all(one.owner == ("bob" if one.key in known else "ann") for one in after)
    assert render(updated(after, again, NEW)) == render(after)


@given(st.lists(keys, unique_by=lambda one: one.key), st.data())
def test_both_sides_of_a_merge_kept_are_a_whole_file_in_any_order(edges: list[Edge], data: st.DataObject) -> None:
    """As ``merge=union`` does, or a person who takes both sides: lines that either has, interleaved."""
    ours = render(entry(one) for one in edges if data.draw(st.booleans()))
    theirs = render(entry(one) for one in edges if data.draw(st.booleans()))
    both = data.draw(st.permutations([*ours.split("\n"), *theirs.split("\n")]))
    assert set(parsed("\n".join(both))) == {*parsed(ours), *parsed(theirs)}


def test_lines_of_different_files_are_never_neighbours() -> None:
    lines = render(entry(edge(f"shop/orders/{name}.py:get", what)) for name in "ba" for what in "yx").split("\n")
    at = {line.partition(":")[0]: number for number, line in enumerate(lines) if "|" in line and not line.startswith("#")}
    first, second = at["shop/orders/a.py"], at["shop/orders/b.py"]
    assert lines[first + 1] == ""
    assert second == first + 3


def test_git_merges_what_two_branches_change_in_different_files(tmp_path: Path) -> None:
    base = [entry(edge(f"shop/orders/{name}.py:get")) for name in "abc"]
    ours, theirs = entry(edge("shop/orders/a.py:put")), entry(edge("shop/orders/b.py:put"))
    for name, entries in {"base": base, "ours": [*base, ours], "theirs": [*base[:2], theirs]}.items():
        (tmp_path / name).write_text(render(entries))
    words = ["git", "merge-file", "-p", "ours", "base", "theirs"]
    merged = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert merged.stdout == render([*base[:2], ours, theirs])


def test_a_file_reads_like_this() -> None:
    assert render([entry(edge(), "ann", "the report of March", date(2027, 1, 31))]) == ratchet.HEAD + (
        "\n# ---- orders -> payments\n\n"
        "shop/orders/api.py:get | raw_sql | orders -> payments | payments_payment | ann | the report of March | "
        "until 2027-01-31\n"
    )


def test_it_fails_on_what_is_new_stale_and_expired() -> None:
    old, kept, new = edge("a.py:old"), edge("a.py:kept"), edge("a.py:new")
    found = compare([entry(old), entry(kept, until=date(2026, 11, 25))], [kept, new], today=TODAY, unseen=EVERYTHING)
    assert (found.new, [one.key for one in found.stale], [one.key for one in found.expired]) == ((new,), [old.key], [kept.key])
    assert not found.holds()
    assert compare([entry(kept, until=TODAY)], [kept], today=TODAY, unseen=EVERYTHING).holds()


def test_a_missing_reason_fails_only_strictly() -> None:
    found = compare([entry(edge(), reason="?")], [edge()], today=TODAY, unseen=EVERYTHING)
    assert (len(found.untold), found.holds(), found.holds(strict=True)) == (1, True, False)


def test_what_was_not_looked_for_is_neither_stale_nor_removed() -> None:
    lines = [
        entry(edge(kind=Kind.FOREIGN_WRITE)),
        entry(edge("database:fk_1", kind=Kind.CONSTRAINT)),
        entry(edge("shop/broken.py:get")),
        entry(edge("shop/fine.py:get")),
    ]
    unseen = unseen_unless(recorded=False, database=False, read=lambda file: file != "shop/broken.py")
    found = compare(lines, [], today=TODAY, unseen=unseen)
    assert [one.key[3] for one in found.stale] == ["shop/fine.py:get"]
    assert len(found.unseen) == 3
    assert {one.key for one in updated(lines, found, NEW)} == {one.key for one in lines[:3]}


@pytest.mark.parametrize("kind", [Kind.SEAM, Kind.TYPING_IMPORT, Kind.MIGRATION])
def test_what_is_as_it_should_be_needs_no_line(kind: Kind) -> None:
    assert not ratchet.is_ratcheted(edge(kind=kind))
    assert not ratchet.is_ratcheted(replace(edge(kind=Kind.URL_INCLUDE), source="project"))
    assert not ratchet.is_ratcheted(replace(edge(kind=Kind.IMPORT), target="project"))
    assert not ratchet.is_ratcheted(replace(edge(kind=Kind.REVERSE_ACCESSOR), note="declared"))
    assert ratchet.is_ratcheted(edge(kind=Kind.REVERSE_ACCESSOR))


@pytest.mark.parametrize(
    "line",
    [
        "shop/*.py:get | raw_sql | orders -> payments | t | ann | why",
        "shop/a.py:* | raw_sql | * -> payments | t | ann | why",
        "shop/a.py:* | raw_sql | orders -> pay* | t | ann | why",
        r"shop/a.py:* | raw_sql | orders -> payments | \\* | ann | why",
        "* | raw_sql | orders -> payments | t | ann | why",
        "shop/a.py:* | * | orders -> payments | t | ann | why",
    ],
)
def test_a_wildcard_is_refused_with_its_line(line: str) -> None:
    assert "wildcard" in told(line)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("<<<<<<< HEAD", "a conflict of a merge"),
        ("=======", "a conflict of a merge"),
        (">>>>>>> theirs", "a conflict of a merge"),
        ("shop/a.py:get raw_sql", "has 1 fields"),
        ("a | raw_sql | b -> c | d | e | f | until 2027-01-01 | h", "has 8 fields"),
        ("a | sql | b -> c | d | e | f", "'sql' is no kind"),
        ("a | raw_sql | b - c | d | e | f", "is not SOURCE -> TARGET"),
        ("a | raw_sql | b -> c | d | e | f | until May", "not with a day"),
        ("a | raw_sql | b -> c | d | e | f | 2027-01-01", "not with a day"),
        (" | raw_sql | b -> c | d | e | f", "names no FILE:NAME"),
    ],
)
def test_a_broken_line_is_named(line: str, said: str) -> None:
    assert said in told(line)


def test_two_lines_that_disagree_about_one_crossing_are_named() -> None:
    line = "a.py:get | raw_sql | b -> c | d | ann | why"
    entries, (problem,) = parse(f"{line}\n{line}\n{line} not\r\n")
    assert len(entries) == 1
    assert (problem.line, "line 1" in problem.what) == (3, True)


def test_an_empty_owner_or_reason_is_a_missing_one() -> None:
    (one,) = parsed("a.py:get | raw_sql | b -> c | d |  | ")
    assert (one.owner, one.reason, one.is_told) == ("?", "?", False)
