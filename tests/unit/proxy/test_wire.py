"""Every case of the corpus in memory: whole, cut in two at every octet, octet by octet, and one behind the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.corpus import cases, outcome, reader
from tests.corpus.cases import RequestCase, ResponseCase
from tests.corpus.outcome import Asked
from tests.corpus.recorder import LAST
from tests.corpus.wire import World

REQUESTS, RESPONSES = cases.requests(), cases.responses()
_CUTS = 300
"""A longer message is cut in its first and last octets, and here and there between."""


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    yield shared
    shared.forget()
    assert not shared.errors


def places(size: int) -> list[int]:
    if size <= _CUTS:
        return list(range(1, size))
    return sorted({*range(1, 30), *range(size - 30, size), *range(1, size, size // 20)})


def said(world: World, pieces: list[bytes], *, half: bool = False) -> Asked:
    world.forget()
    world.recorder.reset()
    client = world.client()
    for piece in pieces:
        client.say(piece)
    if half:
        client.end()
    return outcome.asked(world.recorder, client.received, b"".join(pieces))


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.id)
def test_a_request_means_the_same_however_it_is_cut(case: RequestCase, world: World) -> None:
    last = b"" if case.half else LAST
    outcome.judge_request(case, said(world, [case.raw + last], half=case.half))
    for place in places(len(case.raw)):
        outcome.judge_request(case, said(world, [case.raw[:place], case.raw[place:] + last], half=case.half))
    if len(case.raw) < _CUTS:
        octets = [bytes([octet]) for octet in case.raw + last]
        outcome.judge_request(case, said(world, octets, half=case.half))


def _end_of_answer(case: ResponseCase) -> int:
    """Where octets begin that belong to no answer. Cut off there, nobody could tell them from the answer to the next request."""
    data, method = case.raw, case.request.split(b" ")[0].decode()
    try:
        while (found := reader.response(data, method)) is not None:
            message, data = found
            if message.status >= 200:
                return len(case.raw) - len(data)
    except reader.Unreadable:
        pass
    return len(case.raw)


@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.id)
def test_an_answer_means_the_same_however_it_is_cut(case: ResponseCase, world: World) -> None:
    end = _end_of_answer(case)
    ways = [[len(case.raw)], *([place] for place in places(len(case.raw)) if place < end)]
    if len(case.raw) < _CUTS:
        ways.append(list(range(1, end)))
    for cuts in ways:
        world.forget()
        world.recorder.reset(case.raw, case.ends)
        edges = [0, *cuts, len(case.raw)]

        def pieces(answer: bytes, edges: list[int] = edges) -> list[bytes]:
            if answer != case.raw:
                return [answer]
            return [answer[start:end] for start, end in itertools.pairwise(edges) if start < end]

        world.cut = pieces
        client = world.client()
        client.say(case.request + LAST)
        outcome.judge_response(case, world.recorder, client.received)


def _short(closes: bool) -> list[RequestCase]:
    """One case of each kind and section, so that every pair of them can be tried."""
    found: dict[tuple[str, tuple[int, ...]], RequestCase] = {}
    for case in REQUESTS:
        sure = not (b"HEAD" in case.raw and 404 in case.answers)  # of whom an answer is, the reader must know
        if case.closes is closes and sure and not case.half and 0 < len(case.raw) < _CUTS:
            found.setdefault((case.id.partition(":")[0], case.answers), case)
    return list(found.values())


@pytest.mark.parametrize("first", _short(closes=False), ids=lambda case: case.id)
def test_a_case_means_the_same_behind_another(first: RequestCase, world: World) -> None:
    """Pipelined in one piece, and cut where the second begins."""
    for second in [*_short(closes=False), *_short(closes=True)]:
        whole = RequestCase(
            f"{first.id} + {second.id}",
            first.raw + second.raw,
            first.forwarded + second.forwarded,
            first.answers + second.answers,
            second.closes,
        )
        outcome.judge_request(whole, said(world, [whole.raw + LAST]))
        outcome.judge_request(whole, said(world, [first.raw, second.raw + LAST]))
        third = RequestCase(
            whole.id, first.raw + whole.raw, first.forwarded + whole.forwarded, first.answers + whole.answers, whole.closes
        )
        outcome.judge_request(third, said(world, [third.raw + LAST]))
