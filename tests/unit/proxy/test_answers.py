"""Answers as they are kept for a comparison."""

from __future__ import annotations

import hashlib

import pytest

from strangler_proxy.answers import KEPT_BODY, MOST_BODY, Answer, Recorder, TooLarge
from strangler_proxy.response import Head

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: now\r\nETag: x\r\n"
    b"Set-Cookie: sessionid=geheim; Path=/; expires=Thu, 01 Jan 2026 00:00:00 GMT; HttpOnly\r\nset-cookie: b=2\r\n"
)


def recorded(*pieces: bytes) -> Answer:
    recorder = Recorder(Head(HEAD), 0.25)
    for piece in pieces:
        recorder.add(piece)
    return recorder.answer()


def test_what_is_compared_is_kept_and_no_value_of_a_cookie() -> None:
    answer = recorded(b"a", b"b")
    cookies = "sessionid=; Path=/; HttpOnly\nb="
    assert answer.headers == (("content-type", "text/plain"), ("set-cookie", cookies))
    assert (answer.status, answer.body, answer.length, answer.ms) == (200, b"ab", 2, 250.0)


@pytest.mark.parametrize("size", [0, 1, KEPT_BODY, KEPT_BODY + 1, MOST_BODY])
def test_the_digest_is_of_the_whole_however_it_came(size: int) -> None:
    body = bytes(range(251)) * (size // 251 + 1)
    whole = recorded(body[:size])
    pieces = recorded(*(body[:size][at : at + 65_536] for at in range(0, size, 65_536)))
    assert whole.digest == pieces.digest == hashlib.sha256(body[:size]).digest()
    assert whole.body == pieces.body == (body[:size] if size <= KEPT_BODY else None)
    assert whole.same(pieces)


def test_a_larger_one_is_given_up() -> None:
    with pytest.raises(TooLarge):
        recorded(b"a" * MOST_BODY, b"b")
