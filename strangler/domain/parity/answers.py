"""An answer to a request, as both sides of the parallel run give it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

MOST_BODY = 256 * 1024
"""Bytes of a body that are kept; a larger one is compared by its digest alone."""
MOST_UNPACKED = 8 * MOST_BODY
PACKED = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` by lower-case name; of a name that came several times, the values joined by a line feed (Set-Cookie).

    ``body`` is as it came over the wire (it may be compressed), None where it was too large to keep; ``digest`` is the SHA-256
    of the whole of it, ``length`` its bytes, ``ms`` the milliseconds to its end.
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

    @property
    def media_type(self) -> str:
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """As the content type says; empty where it doesn't."""
        _, found, rest = self.content_type.lower().partition("charset=")
        return rest.partition(";")[0].strip().strip("\"'") if found else ""

    def content(self) -> bytes | None:
        """The body without its compression; None where it was not kept or can't be unpacked."""
        coding = self.headers.get("content-encoding", "").strip().lower()
        if self.body is None or coding in ("", "identity"):
            return self.body
        if coding not in PACKED:
            return None
        unpacker = zlib.decompressobj(PACKED[coding])
        try:
            unpacked = unpacker.decompress(self.body, MOST_UNPACKED)
        except zlib.error:
            return None
        return unpacked if unpacker.eof else None


def decoded(content: bytes, charset: str = "") -> str:
    """As text. What isn't text stays distinguishable (surrogates), so that no two different bodies look the same."""
    try:
        return content.decode(charset or "utf-8", "surrogateescape")
    except (LookupError, UnicodeError, ValueError):
        return content.decode("utf-8", "surrogateescape")
