"""An answer to a request, as both sides of the parallel run give it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

MOST_BODY = 256 * 1024
"""Bytes of a body that are kept; a larger one is compared by its digest alone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` by lower-case name; of a name that came several times, the values joined by a line feed (so a Set-Cookie is a line).

    ``body`` is as it came over the wire (it may be compressed), None where it was too large to keep; ``digest`` is the SHA-256 of
    the whole of it, ``length`` its bytes, ``ms`` the milliseconds to its end.
    """

    status: int
    headers: Mapping[str, str]
    content_type: str
    body: bytes | None
    digest: bytes
    length: int
    ms: float

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes, ms: float = 0.0) -> Answer:
        """An answer whose whole body is at hand."""
        kept = body if len(body) <= MOST_BODY else None
        return cls(status, headers, headers.get("content-type", ""), kept, hashlib.sha256(body).digest(), len(body), ms)
