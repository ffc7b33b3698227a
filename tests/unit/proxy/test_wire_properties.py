"""Whatever valid messages are made up, applications and clients get what an independent reader reads in them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.paths import is_reserved
from strangler_proxy import headers
from tests.corpus import cases, outcome, reader
from tests.corpus.cases import RequestCase
from tests.corpus.recorder import LAST
from tests.corpus.wire import World

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PCHAR = "/-._~!$&'()*+,;=:@%?abcXYZ019"
CUTS = st.lists(st.integers(0, 2000), max_size=6)
METHODS = st.one_of(st.sampled_from(["GET", "POST", "PUT", "DELETE"]), st.text(TOKEN, min_size=1, max_size=9))
SPECIAL = {name.decode() for name in (*headers.KNOWN, b"set-cookie", b"trailer")}


def is_free(name: str) -> bool:
    """Whether a field of that name has no meaning for who passes it."""
    dashed = name.lower().replace("_", "-")
    return dashed not in SPECIAL and not dashed.startswith("x-strangler-")


NAMES = st.text(TOKEN + "abcxyz", min_size=1, max_size=12).filter(is_free)
VALUES = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20)
SPACE = st.sampled_from(["", " ", "\t", "  "])
FIELDS = st.lists(st.tuples(NAMES, SPACE, VALUES, SPACE), max_size=6)
BODIES = st.one_of(st.none(), st.binary(max_size=60), st.lists(st.binary(min_size=1, max_size=30), max_size=4))
TARGETS = st.text(PCHAR, max_size=30).map("/".__add__).filter(lambda target: not is_reserved(target.partition("?")[0]))


def written(lines: list[str], body: bytes | list[bytes] | None, trailers: list[tuple[str, str, str, str]]) -> bytes:
    """A message: no body, a counted one, or one in chunks."""
    if isinstance(body, list):
        lines = [*lines, "Transfer-Encoding: chunked"]
        ends = "".join(f"{name}:{before}{value}{behind}\r\n" for name, before, value, behind in trailers)
        framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body) + f"0\r\n{ends}\r\n".encode("latin-1")
    else:
        lines = lines if body is None else [*lines, f"content-length: {len(body)}"]
        framed = body or b""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + framed


def lines_of(fields: list[tuple[str, str, str, str]]) -> list[str]:
    return [f"{name}:{before}{value}{behind}" for name, before, value, behind in fields]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:end] for start, end in pairwise(places)]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


@given(st.lists(st.tuples(METHODS, TARGETS, FIELDS, BODIES, FIELDS), min_size=1, max_size=3), CUTS)
def test_valid_requests_arrive_as_they_are(
    world: World, made: list[tuple[str, str, list, list | None, list]], at: list[int]
) -> None:
    made = [each for each in made if each[0] not in ("CONNECT", "HEAD")]
    raw = b"".join(
        written([f"{method} {target} HTTP/1.1", "Host: a", *lines_of(fields)], body, trailers)
        for method, target, fields, body, trailers in made
    )
    messages = reader.requests(raw)
    case = RequestCase("made up", raw, tuple(messages), (200,) * len(messages), closes=False)
    world.forget()
    world.recorder.reset()
    client = world.client()
    for piece in cut(raw + LAST, at):
        client.say(piece)
    outcome.judge_request(case, outcome.asked(world.recorder, client.received, raw))
    assert not world.errors


@given(st.integers(200, 599).filter(lambda status: status != 421), FIELDS, BODIES, FIELDS, CUTS)
def test_valid_answers_arrive_as_they_are(
    world: World, status: int, fields: list, body: bytes | list[bytes] | None, trailers: list, at: list[int]
) -> None:
    if status in (204, 304):
        body = None
    elif body is None:
        body = b""
    raw = written([f"HTTP/1.1 {status} So", *lines_of(fields)], body, trailers)
    world.forget()
    world.recorder.reset(raw)
    world.cut = lambda said: cut(said, at) if said == raw else [said]
    client = world.client()
    client.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
    world.cut = lambda said: [said]
    got, last = cases.answers(client.received, ["GET", "GET"])
    [wanted] = cases.answers(raw, ["GET"])
    assert (got, last.body) == (wanted, b"ok")
    assert not world.errors
