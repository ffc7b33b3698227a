"""What a worker keeps of credentials; with real requests in tests/integration/proxy/test_identity.py."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from strangler.domain import tokens
from strangler.domain.site import Site
from strangler_proxy import identity
from strangler_proxy.identity import Identities, Person, claims
from strangler_proxy.metrics import Metrics
from strangler_proxy.request import Fields, Line, Request

SECRET = "a-service-token-for-tests-0123456789abcdef"


def request(*lines: str) -> Request:
    block = "".join(f"\r\n{line}" for line in ("Host: shop.example", *lines)) + "\r\n"
    return Request(Line(b"GET / HTTP/1.1"), Fields(block.encode("latin-1")))


def book(now: list[float] | None = None) -> Identities:
    clock = now if now is not None else [0.0]
    plane: Any = SimpleNamespace(loop=SimpleNamespace(time=lambda: clock[0]))
    return Identities(plane)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"user": None}, None),
        ({"user": {"id": "42", "staff": True}}, {"sub": "42", "staff": True}),
        ({"user": {"id": "ü", "tenant": "a", "Bad-Name": 1}}, {"sub": "ü", "tenant": "a"}),
    ],
)
def test_what_the_monolith_tells_becomes_claims(body: Any, said: Any) -> None:
    assert claims(json.dumps(body).encode()) == said


def test_the_monolith_can_not_set_what_the_token_is_for() -> None:
    body = {"user": {"id": "42", **dict.fromkeys(identity._OURS, "x")}}
    assert claims(json.dumps(body).encode()) == {"sub": "42"}


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b"null", b'{"user": 42}', b'{"user": {}}', b'{"user": {"id": 42}}', b'{"user": {"id": ""}}',
     b'{"user": false}', b'{"user": {"id": "' + b"x" * 5000 + b'"}}', b"\xff\xfe"],
)  # fmt: skip
def test_rubbish_is_nobodys_word(body: bytes) -> None:
    with pytest.raises(ValueError):
        claims(body)


def test_the_header_is_good_for_its_own_context_and_half_a_minute() -> None:
    person = Person({"sub": "42", "staff": False}, 0.0)
    line = person.line(SECRET, "payments")
    assert person.line(SECRET, "payments") is line
    token = line.decode().removeprefix("X-Strangler-Identity: ").strip()
    said = tokens.verify(SECRET, token, audience="payments", now=time.time())
    assert (said["sub"], said["staff"], said["exp"] - said["iat"]) == ("42", False, 30)
    with pytest.raises(tokens.BadToken):
        tokens.verify(SECRET, token, audience="orders", now=time.time())
    assert person.line(SECRET, "orders") != line


def test_nobody_has_no_header() -> None:
    assert Person(None, 0.0).line(SECRET, "payments") == b""


def test_a_credential_is_the_session_and_the_authorization_and_nothing_else() -> None:
    names, site = book(), Site()

    def name(*lines: str) -> bytes:
        return names.credential(request(*lines), site)

    session = name("Cookie: sessionid=s")
    assert name() == name("Cookie: theme=dark; xsessionid=s") == name("Cookie: sessionid=") == b""
    assert name("Cookie: theme=dark; sessionid=s; strangler_position=x") == session
    different = {session, name("Cookie: sessionid=t"), name("Authorization: Bearer s"), name("Cookie: sessionid=s; sessionid=t"),
                 name("Cookie: sessionid=s", "Authorization: Bearer s")}  # fmt: skip
    assert len(different) == 5
    assert b"" not in different
    assert names.credential(request("Cookie: shop=s"), Site(session_cookie="shop")) != b""


def test_the_same_credential_on_another_host_or_in_another_process_has_another_name() -> None:
    here, site = book(), Site()
    one, other = request("Cookie: sessionid=s"), request("Cookie: sessionid=s")
    other.host = b"other.example"
    assert here.credential(one, site) != here.credential(other, site)
    assert here.credential(one, site) == here.credential(request("Cookie: sessionid=s"), site)
    assert here.credential(one, site) != book().credential(request("Cookie: sessionid=s"), site)


def test_a_person_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    people = book(now)
    people._remember(b"a", Person(None, 103.0))
    now[0] = 102.9
    assert people.known(b"a") is not None
    now[0] = 103.0
    assert people.known(b"a") is None
    people._remember(b"b", Person(None, 106.0))
    assert len(people) == 1


def test_an_answer_is_good_from_the_question_on_not_from_its_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who logs out right after the monolith looked must not have the time of a slow answer on top."""
    now = [100.0]

    async def slow(target: Any, head: bytes) -> tuple[int, bytes]:
        now[0] += 0.9
        return 200, b'{"user": {"id": "42"}}'

    monkeypatch.setattr(identity, "_fetch", slow)
    plane: Any = SimpleNamespace(
        loop=SimpleNamespace(time=lambda: now[0]),
        settings=SimpleNamespace(token=SECRET),
        metrics=Metrics(),
        pool=SimpleNamespace(order=lambda urls: [SimpleNamespace(url=url) for url in urls]),
    )
    person = asyncio.run(Identities(plane)._first_word(request(), ("http://127.0.0.1:1",)))
    assert person.until == 103.0


def test_memory_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_MOST_KEPT", 3)
    people = book()
    for name in (b"a", b"b", b"c", b"a", b"d"):
        people._remember(name, Person(None, 3.0))
    assert len(people) == 3
    assert people.known(b"b") is None
    assert people.known(b"a") is not None


def test_no_more_questions_than_allowed_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_AT_ONCE", 2)
    most, under_way = 0, 0

    async def run() -> None:
        nonlocal most, under_way
        gate = asyncio.Event()
        plane: Any = SimpleNamespace(loop=asyncio.get_running_loop())
        people = Identities(plane)

        async def word(request: Request, urls: tuple[str, ...]) -> Person:
            nonlocal most, under_way
            under_way += 1
            most = max(most, under_way)
            if under_way == 2:
                gate.set()
            await gate.wait()
            under_way -= 1
            return Person(None, people._plane.loop.time() + 3)

        people._first_word = word  # type: ignore[method-assign]
        names = [bytes([number]) for number in range(9)]
        found = await asyncio.gather(*(people.ask(name, request(), ()) for name in (*names, *names)))
        assert all(found)
        assert not people._questions

    asyncio.run(run())
    assert most == 2
