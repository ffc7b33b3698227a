"""Bodies, decoded in any pieces; httptools, which others rest on, is asked too."""

from __future__ import annotations

from itertools import pairwise

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strangler_proxy.bodies import BadBody, Body, Chunked, Counted, ToTheEnd

PIECES = st.lists(st.binary(min_size=1, max_size=300), max_size=6)


def fed(body: Body, parts: list[bytes]) -> tuple[bytes, bytes]:
    """What was decoded, and what came behind the end."""
    into: list[bytes] = []
    rest = b""
    for part in parts:
        rest = rest + part if body.done else body.feed(part, into)
    return b"".join(into), rest


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:end] for start, end in pairwise(places)]


def chunked(pieces: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    return b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


@given(PIECES, st.sampled_from([b"", b";a=b", b' ;x="y"']), st.lists(st.integers(0, 4000), max_size=8), st.binary(max_size=20))
@example([b"abc"], b"", list(range(30)), b"GET")
def test_chunks_come_in_any_pieces(pieces: list[bytes], extension: bytes, at: list[int], behind: bytes) -> None:
    body = Chunked()
    data = chunked(pieces, extension, b"X-Sum: 1\r\nContent-Length: 9\r\nx_strangler-epoch: 3\r\n") + behind
    assert fed(body, cut(data, at)) == (b"".join(pieces), behind)
    assert body.done
    assert body.trailers == b"X-Sum: 1\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"zz\r\n", b"\r\n", b"3\nabc\r\n", b"3\rabc", b"2\r\nabc\r\n", b"2\r\nab\rX", b"FFFFFFFFFFFFFFFFF\r\n",
        b"FFFFFFFFFFFFFFFF\r\n", b"-1\r\n", b"+3\r\n", b"0x3\r\n", b"3 3\r\n", b" 3\r\n", b"3;\x00\r\n", b"3;a\nb\r\n",
        b"0\r\nX : 1\r\n\r\n", b"0\r\n folded\r\n\r\n", b"0\r\nno colon\r\n\r\n", b"0\r\nX: \x01\r\n\r\n",
        b"0\r\n" + b"X: 1\r\n" * 5000, b"1;" + b"a" * 5000, b"0\r\nX: 1\n\r\n",
    ],
)  # fmt: skip
def test_what_breaks_the_grammar_is_refused_in_any_pieces(data: bytes) -> None:
    for parts in ([data], [data[index : index + 1] for index in range(len(data))]):
        with pytest.raises(BadBody):
            fed(Chunked(), parts)


class _Oracle:
    def __init__(self) -> None:
        self.body, self.complete = b"", False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


@given(PIECES, st.integers(0, 4000), st.binary(max_size=3), st.integers(0, 3))
def test_what_passes_here_means_the_same_to_httptools(pieces: list[bytes], where: int, put: bytes, gone: int) -> None:
    """A broken encoding is refused here, or read by a common parser as we read it: nothing is smuggled."""
    whole = chunked(pieces)
    at = where % (len(whole) + 1)
    data = whole[:at] + put + whole[at + gone :]
    body = Chunked()
    try:
        decoded, rest = fed(body, [data])
    except BadBody:
        return
    oracle = _Oracle()
    parser = httptools.HttpRequestParser(oracle)
    try:
        parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + data[: len(data) - len(rest)])
    except httptools.HttpParserError:
        assert not body.done, "complete for us, and broken for others"
    else:
        assert (oracle.body, oracle.complete) == (decoded, body.done)


@given(st.binary(max_size=100), st.integers(0, 120), st.lists(st.integers(0, 200), max_size=5))
def test_a_counted_body_ends_where_it_should(data: bytes, length: int, at: list[int]) -> None:
    body = Counted(length)
    decoded, rest = fed(body, cut(data, at))
    assert (decoded, rest) == (data[:length], data[length:])
    assert body.done == (len(data) >= length)


def test_a_body_to_the_end_is_never_done() -> None:
    body = ToTheEnd()
    assert fed(body, [b"a", b"b"]) == (b"ab", b"")
    assert not body.done
