"""Who asks: a session cookie or ``Authorization`` becomes a short-lived signed header for services (DESIGN section 9).

The monolith is asked once for a credential, however many requests wait for it, and the answer is good for a few seconds from
the moment of the question, so that a log-out is felt soon. What could not be learnt is never taken for nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from strangler.domain import tokens
from strangler.domain.decision import ContextState
from strangler.domain.site import Site, cookies
from strangler_proxy import grammar
from strangler_proxy.access_log import event
from strangler_proxy.fetch import fetch
from strangler_proxy.headers import OVERRIDE_COOKIE
from strangler_proxy.request import Request

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane
    from strangler_proxy.target import Target

TTL = 30.0
"""Of the header, in seconds."""
_KEPT, _MOST_KEPT = 3.0, 10_000
_WITHIN, _WITHIN_ONE = 8.0, 5.0  # a busy monolith answers this no sooner than the request itself
_AT_ONCE = 32
_LARGEST = 4096
_CLAIM = re.compile(r"[a-z][a-z0-9_]{0,63}")
_OURS = frozenset({"aud", "iat", "exp", "nbf", "iss", "jti", "sub", "act", "audience", "now", "ttl", "secret"})


class Unidentified(Exception):
    """The monolith did not say whose credential it is; the message is for the log."""


class Person:
    """Whom a credential belongs to: ``claims`` as the monolith told them; none for nobody. Good until ``until``."""

    __slots__ = ("_claims", "_lines", "until")

    def __init__(self, claims: dict[str, Any] | None, until: float) -> None:
        self._claims, self.until = claims, until
        self._lines: dict[str, bytes] = {}

    @property
    def anonymous(self) -> bool:
        return self._claims is None

    def line(self, secret: str, context: str) -> bytes:
        """The header line for a service; empty for nobody. Signed once: it outlives this person's memory by far."""
        found = self._lines.get(context)
        if found is None:
            found = self._lines[context] = self._sign(secret, context) if self._claims is not None else b""
        return found

    def _sign(self, secret: str, context: str) -> bytes:
        token = tokens.issue(secret, audience=context, now=time.time(), ttl=TTL, **(self._claims or {}))
        return b"X-Strangler-Identity: %b\r\n" % token.encode()


class Identities:
    """What one worker knows of credentials; kept under their salted hashes, in the order in which they are forgotten."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._salt = os.urandom(16)
        self._people: OrderedDict[bytes, Person] = OrderedDict()
        self._questions: dict[bytes, asyncio.Task[Person | None]] = {}
        self._trouble = ""
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def __len__(self) -> int:
        return len(self._people)

    def credential(self, request: Request, site: Site) -> bytes:
        """The name under which a request's credential is remembered; empty for a request without one."""
        fields = request.fields
        named = fields.credential
        if named is not None and named[0] is site and named[1] == request.host:
            return named[2]
        name = self._name(request, site)
        fields.credential = (site, request.host, name)
        return name

    def _name(self, request: Request, site: Site) -> bytes:
        fields = request.fields
        sessions = [value for value in cookies(fields.cookie, site.session_cookie.encode()) if value] if fields.cookie else []
        if not sessions and not fields.authorization:
            return b""
        # The host too: a monolith may serve several sites. No field holds a NUL.
        text = b"\0".join((request.host, fields.authorization, *sessions))
        return hashlib.blake2b(text, digest_size=16, key=self._salt).digest()

    def known(self, name: bytes) -> Person | None:
        """Whose credential it is, if that was learnt a moment ago."""
        person = self._people.get(name)
        return person if person is not None and self._plane.loop.time() < person.until else None

    async def ask(self, name: bytes, request: Request, urls: tuple[str, ...]) -> Person | None:
        """Asks the monolith, or waits for who asked already. None if it can't be learnt. Who leaves does not end the question."""
        question = self._questions.get(name)
        if question is None:
            question = self._questions[name] = self._plane.loop.create_task(self._learn(name, request, urls))
            question.add_done_callback(lambda _: self._questions.pop(name))
        return await asyncio.shield(question)

    async def of_copy(self, request: Request, context: ContextState) -> bytes:
        """The header line for a copy of a read. Raises ``Unidentified``."""
        table = self._plane.tables.current
        name = self.credential(request, table.site) if table is not None else b""
        if not name:
            return b""
        person = self.known(name) or await self.ask(name, request, context.monolith)
        if person is None:
            raise Unidentified
        return person.line(self._plane.settings.token, context.name)

    async def _learn(self, name: bytes, request: Request, urls: tuple[str, ...]) -> Person | None:
        try:
            async with asyncio.timeout(_WITHIN), self._slots:
                person = await self._first_word(request, urls)
        except (Unidentified, TimeoutError) as error:
            self._fail(str(error) or "no time is left")
            return None
        except Exception as error:
            self._plane.unexpected(error)
            self._fail("a bug of the proxy")
            return None
        self._trouble = ""
        self._remember(name, person)
        return person

    def _fail(self, why: str) -> None:
        """Each is counted; the log tells it once."""
        self._plane.metrics.identity.add("failed")
        if self._trouble != why:
            self._trouble = why
            event("identity.failed", reason=why)

    async def _first_word(self, request: Request, urls: tuple[str, ...]) -> Person:
        """Of the first instance of the monolith that gives a clear answer. Raises ``Unidentified``."""
        if not self._plane.settings.token:
            raise Unidentified("set STRANGLER_SERVICE_TOKEN, or say identity = false for the service")
        why = "no target"
        for target in self._plane.pool.order(urls):
            self._plane.metrics.identity.add("asked")
            asked_at = self._plane.loop.time()  # what is true at the answer may have ended since, not what was true before
            try:
                async with asyncio.timeout(_WITHIN_ONE):
                    status, body = await _fetch(target, self._question(request, target))
                if status == 200:
                    return Person(claims(body), asked_at + _KEPT)
                why = f"status {status}"
            except (OSError, TimeoutError, ValueError) as error:
                why = f"{type(error).__name__}: {error}"
            why = f"{target.url}/_strangler/identity: {why}"
        raise Unidentified(why)

    def _question(self, request: Request, target: Target) -> bytes:
        """As from the user: host, scheme, cookies, the ``Authorization`` in a field of ours beside the proxy's own."""
        fields = request.fields
        bearer = tokens.issue(self._plane.settings.token, audience="monolith", now=time.time())
        host = fields.host or target.url.partition("://")[2].encode() or b"localhost"
        left = grammar.without_cookie([b"Cookie: %b" % fields.cookie], OVERRIDE_COOKIE) if fields.cookie else []
        cookie = b"".join(b"%b\r\n" % line for line in left)
        theirs = b"X-Strangler-Authorization: %b\r\n" % fields.authorization if fields.authorization else b""
        return (
            b"GET /_strangler/identity HTTP/1.1\r\nHost: %b\r\nAccept: application/json\r\nAuthorization: Bearer %b\r\n"
            b"%b%b%bX-Forwarded-Host: %b\r\nX-Request-ID: %b\r\n\r\n"
        ) % (host, bearer.encode(), cookie, theirs, request.forwarded, request.host or host, request.request_id)

    def _remember(self, name: bytes, person: Person) -> None:
        """Forgets who is no longer good, and beyond the limit who was learnt first."""
        people, now = self._people, self._plane.loop.time()
        people.pop(name, None)
        people[name] = person
        while len(people) > _MOST_KEPT or people[next(iter(people))].until <= now:
            people.popitem(last=False)


async def _fetch(target: Target, head: bytes) -> tuple[int, bytes]:
    """On a kept connection; once more on a fresh one if that was closed under our feet."""
    try:
        return await fetch(target, head, fresh=False)
    except ConnectionResetError:
        return await fetch(target, head)


def claims(body: bytes) -> dict[str, Any] | None:
    """What the monolith told of a user, as claims: ``sub`` and its flags. None for nobody. Raises ``ValueError`` for rubbish."""
    said = json.loads(body)
    if not isinstance(said, dict) or "user" not in said or len(body) > _LARGEST:
        raise ValueError("not an identity")
    user = said["user"]
    if user is None:
        return None
    if not isinstance(user, dict) or not isinstance(user.get("id"), str) or not user["id"]:
        raise ValueError("a user without an id")
    more = {key: value for key, value in user.items() if key != "id" and key not in _OURS and _CLAIM.fullmatch(key)}
    return {"sub": user["id"], **more}
