"""Short-lived signed tokens between services (JWT, HS256; RFC 7515, RFC 7519), with the standard library alone.

The proxy has no Django and the domain no dependencies; the tests hold these against PyJWT.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any


class BadToken(ValueError):
    """The token is malformed, forged, expired or meant for somebody else."""


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _sign(secret: str, signed: str) -> bytes:
    return hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()


def issue(secret: str, *, audience: str, now: float, ttl: float = 60.0, **claims: Any) -> str:
    """A token for ``audience``, good for ``ttl`` seconds from ``now`` (seconds since 1970)."""
    header = _encode(b'{"alg":"HS256","typ":"JWT"}')
    body = {"aud": audience, "iat": int(now), "exp": int(now + ttl), **claims}
    signed = f"{header}.{_encode(json.dumps(body, separators=(',', ':')).encode())}"
    return f"{signed}.{_encode(_sign(secret, signed))}"


def verify(secret: str, token: str, *, audience: str, now: float, leeway: float = 5.0) -> dict[str, Any]:
    """The claims of a good token. Raises ``BadToken``."""
    try:
        signed, _, signature = token.rpartition(".")
        header, _, body = signed.partition(".")
        if json.loads(_decode(header)).get("alg") != "HS256":
            raise BadToken("not an HS256 token")
        genuine = hmac.compare_digest(_decode(signature), _sign(secret, signed))
        claims = json.loads(_decode(body))
    except BadToken:
        raise
    except (ValueError, AttributeError, RecursionError) as error:
        raise BadToken("malformed token") from error
    if not genuine:
        raise BadToken("wrong signature")
    if not isinstance(claims, dict) or claims.get("aud") != audience:
        raise BadToken(f"not meant for {audience}")
    if not isinstance(claims.get("exp"), (int, float)) or claims["exp"] + leeway < now:
        raise BadToken("expired")
    return claims
