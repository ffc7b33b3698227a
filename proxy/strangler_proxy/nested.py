"""The pass of nested requests: while a write is in flight, requests that it makes itself are not parked (PROTOCOL step 2).

``X-Strangler-Request: <id>.<mac>`` goes to the application with each write; the id carries when it was made and for which
contexts the write counts. An application that calls back through the proxy sends it along. Only the service token can sign.
"""

from __future__ import annotations

import hashlib
import hmac
import re

_FORM = re.compile(rb"^([A-Za-z0-9._\-]{1,128})~(\d{1,12})~([\w+\-]{0,1000})\.([0-9a-f]{32})$")
GOOD_FOR = 300.0


def _sign(secret: bytes, text: bytes) -> bytes:
    """BLAKE2 has a key by design, and needs a third of HMAC's time."""
    key = secret if len(secret) <= 64 else hashlib.sha256(secret).digest()
    return hashlib.blake2b(text, digest_size=16, key=key, person=b"strangler-pass").hexdigest().encode()


def issue(secret: bytes, request_id: bytes, contexts: tuple[str, ...], now: float) -> bytes:
    """The header's value for a write. ``now`` in seconds since 1970. ``request_id`` may hold any bytes a field may."""
    name = re.sub(rb"[^A-Za-z0-9._\-]", b"-", request_id)
    text = b"%b~%d~%b" % (name, int(now), "+".join(contexts).encode())
    return b"%b.%b" % (text, _sign(secret, text))


def contexts(secret: bytes, value: bytes, now: float) -> frozenset[str]:
    """The contexts whose hold a request with this header passes; none if the header is forged, malformed or old."""
    match = _FORM.match(value) if secret else None
    if match is None:
        return frozenset()
    text = value.rpartition(b".")[0]
    if not hmac.compare_digest(_sign(secret, text), match[4]) or not -5 <= now - int(match[2]) <= GOOD_FOR:
        return frozenset()
    return frozenset(name for name in match[3].decode().split("+") if name)
