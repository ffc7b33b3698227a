"""The chain of receipts: what was done to it is found, and named by the first receipt that it was done to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.chain import GENESIS, Fault, Head, Link, seal, walk


def chained(count: int, first: int = 1, previous: str = GENESIS) -> list[Link]:
    made = []
    for number in range(first, first + count):
        content = {"id": number, "who": "ada", "pause_ms": 88.1, "why": "żółw"}
        made.append(Link(number, content, previous, seal(previous, content)))
        previous = made[-1].hash
    return made


def changed(link: Link, **fields: object) -> Link:
    return replace(link, content={**link.content, **fields})


def anew(links: list[Link], place: int, **fields: object) -> list[Link]:
    """Everything from ``place`` on, sealed again by somebody who knows how."""
    made = links[:place]
    for link in links[place:]:
        content = {**link.content, **(fields if link is links[place] else {})}
        previous = made[-1].hash if made else GENESIS
        made.append(Link(link.id, content, previous, seal(previous, content)))
    return made


def test_a_chain_as_it_was_written_holds() -> None:
    links = chained(5)
    walked = walk(links, remembered=[Head(3, links[2].hash, "a proxy"), Head(5, links[4].hash, "an export")])
    assert (walked.count, walked.first, walked.head.id, walked.head.hash, walked.broken) == (5, 1, 5, links[4].hash, None)
    assert walk([]).broken is None


def test_the_hash_is_the_documented_one() -> None:
    """Anybody can do it again: SHA-256 over the hash before it, a line feed, the content by RFC 8785."""
    assert seal(GENESIS, {"b": 1.0, "a": "x"}) == "015c8665bb0be3533484757d30dfd1d637d68c36b48ce8736421d3b56b9f0cd1"


def test_a_changed_receipt_is_named() -> None:
    links = chained(5)
    links[2] = changed(links[2], who="eve")
    links[4] = changed(links[4], who="eve")
    broken = walk(links).broken
    assert broken is not None
    assert (broken.id, broken.fault) == (3, Fault.CHANGED)
    assert broken.said == "receipt 3 was changed: it is not what its hash was made of"


def test_a_changed_receipt_with_a_right_hash_is_given_away_by_the_next() -> None:
    links = chained(5)
    links[2] = anew(links, 2, who="eve")[2]
    broken = walk(links).broken
    assert broken is not None
    assert (broken.id, broken.fault) == (3, Fault.CHANGED)
    assert broken.said == "receipt 3 was replaced: receipt 4 was sealed after another one"


@pytest.mark.parametrize(("taken", "said"), [((2,), "receipt 3 is missing"), ((0, 1), "receipts 1 to 2 are missing")])
def test_missing_receipts_are_named(taken: tuple[int, ...], said: str) -> None:
    links = [link for place, link in enumerate(chained(5)) if place not in taken]
    broken = walk(links).broken
    assert broken is not None
    assert (broken.id, broken.fault) == (taken[0] + 1, Fault.MISSING)
    assert broken.said.startswith(said)


def test_a_chain_that_was_cut_off_is_found_against_what_is_remembered() -> None:
    links = chained(5)
    assert walk(links[:3]).broken is None  # a chain alone can't know its end
    broken = walk(links[:3], remembered=[Head(5, links[4].hash, "route table 1.9")]).broken
    assert broken is not None
    assert (broken.id, broken.fault) == (4, Fault.CUT_OFF)
    assert broken.said == "receipts 4 to 5 are cut off: route table 1.9 remembers receipt 5"
    emptied = walk([], remembered=[Head(5, links[4].hash, "route table 1.9")]).broken
    assert emptied is not None
    assert emptied.id == 1


def test_a_chain_that_was_made_anew_is_found_against_what_is_remembered() -> None:
    links = chained(5)
    forged = anew(links, 1, who="eve")
    assert walk(forged).broken is None
    broken = walk(forged, remembered=[Head(number, links[number - 1].hash, "an export") for number in (5, 2, 1)]).broken
    assert broken is not None
    assert (broken.id, broken.said) == (2, "receipt 2 was replaced: an export remembers another hash of it")


def test_a_beginning_that_was_taken_away_and_sealed_anew_is_found() -> None:
    links = chained(5)
    forged = anew(links[2:], 0)
    broken = walk(forged, remembered=[Head(1, links[0].hash, "an export")]).broken
    assert broken is not None
    assert (broken.id, broken.fault) == (1, Fault.MISSING)


def test_an_extract_begins_in_the_middle() -> None:
    links = chained(5)
    walked = walk(links[2:], begins=None, remembered=[Head(1, links[0].hash, "an export")])
    assert (walked.count, walked.first, walked.broken) == (3, 3, None)


def test_gaps_in_the_numbers_of_before_the_chain_are_no_fault() -> None:
    first = chained(2)
    assert walk([*first, *chained(2, 7, first[-1].hash)]).broken is None


@given(st.integers(1, 8), st.data())
def test_whatever_is_done_to_one_receipt_is_found(count: int, data: st.DataObject) -> None:
    links = chained(count)
    head = Head(count, links[-1].hash, "an export")
    place = data.draw(st.integers(0, count - 1))
    deed = data.draw(st.sampled_from(["change", "take", "swap", "put", "anew", "hash"]))
    done = list(links)
    if deed == "change":
        done[place] = changed(links[place], why="another")
    elif deed == "take":
        del done[place]
    elif deed == "put":
        done.insert(place, Link(links[place].id, {**links[place].content, "who": "eve"}, links[place].previous, "f" * 64))
    elif deed == "anew":
        done = anew(links, place, who="eve")
    elif deed == "hash":
        done[place] = replace(links[place], hash="e" * 64)
    else:
        other = data.draw(st.integers(0, count - 1))
        if other == place:
            return
        done[place], done[other] = replace(links[other], id=place + 1), replace(links[place], id=other + 1)
    broken = walk(done, remembered=[head]).broken
    assert broken is not None
    assert broken.id <= (count if deed == "anew" else place + 1)  # all of it sealed anew: only what is remembered tells
