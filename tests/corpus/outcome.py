"""What became of a case, and whether it is what the case says. The same for a process on sockets and for objects in here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.corpus import cases
from tests.corpus.cases import RequestCase, ResponseCase
from tests.corpus.reader import Message, Unreadable
from tests.corpus.recorder import Recorder, is_last

ADDED = {
    "x-forwarded-for": re.compile(r"127\.0\.0\.1"),
    "x-forwarded-proto": re.compile("http"),
    "forwarded": re.compile("for=127.0.0.1;proto=http"),
    "x-forwarded-host": re.compile(".*"),
    "x-request-id": re.compile(r"[A-Za-z0-9._\-+/=]{1,128}"),
    "traceparent": re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
}
"""What our proxy says to the application on its own."""


@dataclass(frozen=True)
class Asked:
    """Of a request case. ``kept``: the client's connection was good for another request."""

    forwarded: tuple[Message, ...]
    answers: tuple[int, ...]
    kept: bool


def asked(recorder: Recorder, received: bytes, raw: bytes = b"") -> Asked:
    """``raw``: what was said; its first method tells how to read an answer that no application gave."""
    methods = [message.method for _, message in recorder.heard if not is_last(message)]
    methods = methods or [raw.partition(b" ")[0].decode("latin-1")]
    answers = cases.answers(received, methods)
    kept = any(is_last(message) for _, message in recorder.heard)
    statuses = [message.status for message in answers]
    assert not recorder.unreadable, f"the application can't read {recorder.unreadable[0]!r}"
    return Asked(tuple(recorder.messages), tuple(statuses[:-1] if kept else statuses), kept)


def judge_request(case: RequestCase, found: Asked) -> None:
    """Raises ``AssertionError``."""
    assert found.answers == case.answers
    assert len(found.forwarded) == len(case.forwarded), found.forwarded
    for got, wanted in zip(found.forwarded, case.forwarded, strict=True):
        assert (got.line, got.body, got.chunked, got.trailers) == (wanted.line, wanted.body, wanted.chunked, wanted.trailers)
        assert without_added(got, wanted) == [field for field in wanted.fields if field[0].lower() not in ADDED]
    assert found.kept is not case.closes, "the connection was kept" if found.kept else "the connection was closed"


def without_added(got: Message, wanted: Message) -> list[tuple[str, str]]:
    """The fields that the client sent; each of ours is there once, with the value that the case names or one of its form."""
    for name, form in ADDED.items():
        values = got.all(name)
        assert len(values) == 1, f"{name} is there {len(values)} times"
        named = wanted.all(name)
        assert form.fullmatch(values[0]), f"{name}: {values[0]}"
        assert named in ([], values), name
    assert got.all("x-forwarded-host") == got.all("host")[:1] or wanted.all("x-forwarded-host")
    return [field for field in got.fields if field[0].lower() not in ADDED]


def judge_response(case: ResponseCase, recorder: Recorder, received: bytes) -> None:
    """Raises ``AssertionError``."""
    method = case.request.split(b" ")[0].decode()
    ours = [number for number, message in recorder.heard if not is_last(message)]
    last = [number for number, message in recorder.heard if is_last(message)]
    assert ours
    if case.broken:
        assert _is_cut_off(received, method)
        assert not last
        return
    got = cases.answers(received, [method, "GET"])
    if last:
        assert got.pop().body == b"ok"
    if case.refused:
        assert [message.status for message in got if message.status >= 200] == [case.refused]
    else:
        assert tuple(map(_unframed, got)) == tuple(map(_unframed, case.client))
    assert bool(last) is not case.closes, "the connection was kept" if last else "the connection was closed"
    if last:
        assert (last[0] == ours[-1]) is case.kept, "the application's connection was used again, or was not"


def _unframed(message: Message) -> tuple[object, ...]:
    return message.line, message.fields, message.body, message.chunked, message.trailers


def _is_cut_off(received: bytes, method: str) -> bool:
    """Whether a client can see that the answer is not whole."""
    try:
        answers = cases.answers(received, [method])
    except Unreadable:
        return True
    return not [message for message in answers if message.status >= 200]
