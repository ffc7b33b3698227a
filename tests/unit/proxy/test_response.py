"""Heads of responses: what passes, what the proxy takes for itself, what is remembered."""

from __future__ import annotations

import pytest

from strangler_proxy.response import BadAnswer, Head, KnownHeads


def head(*fields: str, line: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([line, *fields, ""]).encode()


def test_what_passes_keeps_order_case_and_bytes() -> None:
    found = Head(head("Server: a", "Content-Length: 3", "x-B:  c ", "Connection: keep-alive", "Vary: Cookie"))
    assert found.kept == b"\r\nServer: a\r\nContent-Length: 3\r\nx-B:  c \r\nVary: Cookie\r\n"
    assert found.plain == b"HTTP/1.1 200 OK" + found.kept + b"\r\n"
    assert (found.length, found.keep_alive) == (3, True)


def test_fields_that_connection_names_end_here() -> None:
    found = Head(head("Connection: close, X-Hop", "X-Hop: 1", "X-Stays: 1"))
    assert found.kept == b"\r\nX-Stays: 1\r\n"
    assert not found.keep_alive


def test_no_length_passes_with_a_204() -> None:
    assert Head(head("Content-Length: 0", line="HTTP/1.1 204 No Content")).kept == b"\r\n"


def test_a_position_is_the_proxys_and_merged_from_several_fields() -> None:
    found = Head(head("X-Strangler-Position: Monolith:0:1", "X-Strangler-Position: payments:7:8"))
    assert found.position == b"Monolith:0:1,payments:7:8"
    assert found.kept == b"\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        ("Content-Length: 3", "Content-Length: 3"),
        ("Content-Length: x",),
        ("Transfer-Encoding: gzip",),
        ("Transfer-Encoding: chunked", "Content-Length: 3"),
        ("Name : a",),
        ("A: b", " c"),
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(fields: tuple[str, ...]) -> None:
    with pytest.raises(BadAnswer):
        Head(head(*fields))


def test_heads_are_remembered_by_their_bytes() -> None:
    known, text = KnownHeads(), head("Content-Length: 3")
    first = known.read(text)
    assert known.get(text) is first


@pytest.mark.parametrize("field", ["Set-Cookie: sessionid=secret", "X-Strangler-Position: monolith:0:1"])
def test_what_is_for_one_user_alone_is_not_remembered(field: str) -> None:
    known, text = KnownHeads(), head(field)
    known.read(text)
    assert known.get(text) is None


def test_not_more_than_some_are_remembered_and_no_long_ones() -> None:
    known = KnownHeads()
    for number in range(10_000):
        known.read(head(f"X-Request-ID: {number}"))
    assert len(known) <= 256
    known.read(long := head("X-Long: " + "a" * 4000))
    assert long not in known


def test_what_is_refused_is_refused_again() -> None:
    known = KnownHeads()
    for _ in range(2):
        with pytest.raises(BadAnswer):
            known.read(head("Content-Length: x"))
