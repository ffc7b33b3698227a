"""Answers as a comparison needs them: taken while they pass, kept up to a size, and told apart by status, headers and digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from strangler.domain.parity.answers import MOST_BODY as KEPT_BODY
from strangler.domain.parity.compare import HEADERS
from strangler_proxy import grammar
from strangler_proxy.response import Head

MOST_BODY = 4 * 1024 * 1024
"""Beyond it an answer is not looked at: working out its digest would take the loop's time from other users."""
CHOSEN = (*(name.encode() for name in HEADERS), b"content-encoding")
"""What a server says of itself (``Date``, ``Server``, ``ETag``) is not compared; of a cookie its name and its attributes are."""


@dataclass(frozen=True)
class Answer:
    """``body`` is None where it was too large; the digest (SHA-256) is always of the whole. ``ms`` until its head came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    digest: bytes
    length: int
    body: bytes | None
    ms: float

    def same(self, other: Answer) -> bool:
        return self.status == other.status and self.digest == other.digest and self.headers == other.headers


class TooLarge(Exception):
    """The answer is larger than ``MOST_BODY``."""


class Recorder:
    """Takes an answer in pieces. Those of a usual size are only kept: their digest is worked out when the user has the answer."""

    __slots__ = ("_hash", "_head", "_length", "_ms", "_pieces")

    def __init__(self, head: Head, seconds: float) -> None:
        self._head, self._ms = head, 1000 * seconds
        self._length = 0
        self._pieces: list[bytes] = []
        self._hash: hashlib._Hash | None = None

    def add(self, data: bytes) -> None:
        self._length += len(data)
        if self._length > MOST_BODY:
            self._pieces.clear()
        elif self._hash is not None:
            self._hash.update(data)
        else:
            self._pieces.append(data)
            if self._length > KEPT_BODY:
                self._hash = hashlib.sha256(b"".join(self._pieces))
                self._pieces.clear()

    def answer(self) -> Answer:
        """Raises ``TooLarge``."""
        if self._length > MOST_BODY:
            raise TooLarge
        body = b"".join(self._pieces) if self._hash is None else None
        digest = hashlib.sha256(body) if body is not None else self._hash
        assert digest is not None
        return Answer(self._head.status, headers(self._head), digest.digest(), self._length, body, self._ms)


def headers(head: Head) -> tuple[tuple[str, str], ...]:
    """Those that are compared, by name; the values of one that came several times are joined by a line feed."""
    found = ((name.decode(), value.decode("latin-1")) for name in CHOSEN if name != b"set-cookie" and (value := head.get(name)))
    cookies = "\n".join(_without_value(line) for line in grammar.lines(head.kept) if line[:11].lower() == b"set-cookie:")
    return (*found, ("set-cookie", cookies)) if cookies else tuple(found)


def _without_value(line: bytes) -> str:
    """A cookie's value is a secret, and its expiry another one each second."""
    pair, *attributes = line[11:].decode("latin-1").split(";")
    kept = [part.strip() for part in attributes if not part.strip().lower().startswith("expires=")]
    return "; ".join([f"{pair.partition('=')[0].strip()}=", *kept])
