"""Tokens: RS256, ``sub`` is the user's id. One for access lasts an hour; one to get the next pair with lasts two weeks.

A refresh token carries a digest of the user's session stamp: a new password ends it.
"""

from __future__ import annotations

import functools
import hashlib
import time
import uuid
from typing import Any

import jwt
from django.conf import settings

from monolith.users import keys

ISSUER = "shop"
REFRESH = "refresh"
ALGORITHM = "RS256"


def issue(*, user_id: int) -> str:
    return _issue({"sub": str(user_id)}, settings.JWT_LIFETIME_S)


def issue_refresh(*, user_id: int, stamp: uuid.UUID) -> str:
    return _issue({"sub": str(user_id), "use": REFRESH, "stamp": digest(stamp)}, settings.JWT_REFRESH_LIFETIME_S)


def digest(stamp: uuid.UUID) -> str:
    return hashlib.sha256(stamp.bytes).hexdigest()[:32]


def _issue(more: dict[str, Any], seconds: int) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "iat": now, "exp": now + seconds, **more}
    return jwt.encode(claims, keys.private_key(), algorithm=ALGORITHM, headers={"kid": keys.jwk()["kid"]})


def is_ours(token: str) -> bool:
    """Whether it claims to be one of these, as its header says; nothing is verified."""
    try:
        return jwt.get_unverified_header(token).get("alg") == ALGORITHM
    except jwt.InvalidTokenError:
        return False


def user_id(token: str) -> int:
    """Raises ``jwt.InvalidTokenError`` for a token that is expired, forged, of another issuer or not for access."""
    claims = _claims(token)
    if "use" in claims:
        raise jwt.InvalidTokenError("it is not for access")
    return int(claims["sub"])


def refreshed(token: str) -> tuple[int, str]:
    """User id and the digest of the stamp. Raises ``jwt.InvalidTokenError`` for a token that is not for refreshing."""
    claims = _claims(token)
    if claims.get("use") != REFRESH:
        raise jwt.InvalidTokenError("it is not for refreshing")
    return int(claims["sub"]), str(claims.get("stamp"))


def _claims(token: str) -> dict[str, Any]:
    claims = _verified(token, keys.jwk()["kid"])
    if claims["exp"] <= time.time():
        raise jwt.ExpiredSignatureError("Signature has expired")
    return claims


@functools.lru_cache(maxsize=1024)
def _verified(token: str, by: str) -> dict[str, Any]:
    """What a key's signature says never changes, so each token's is looked at once; its time is looked at every time."""
    options = {"require": ["exp", "sub", "iss"]}
    return jwt.decode(token, keys.public_key(), algorithms=[ALGORITHM], issuer=ISSUER, options=options)  # type: ignore[arg-type]
