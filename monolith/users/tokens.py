"""Access tokens: RS256, one hour, ``sub`` is the user's id."""

from __future__ import annotations

import time

import jwt
from django.conf import settings

from monolith.users import keys

ISSUER = "shop"
ALGORITHM = "RS256"


def issue(*, user_id: int) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": str(user_id), "iat": now, "exp": now + settings.JWT_LIFETIME_S}
    return jwt.encode(claims, keys.private_key(), algorithm=ALGORITHM, headers={"kid": keys.jwk()["kid"]})


def is_ours(token: str) -> bool:
    """Whether it claims to be one of these, as its header says; nothing is verified."""
    try:
        return jwt.get_unverified_header(token).get("alg") == ALGORITHM
    except jwt.InvalidTokenError:
        return False


def user_id(token: str) -> int:
    """Raises ``jwt.InvalidTokenError`` for a token that is expired, forged or of another issuer."""
    options = {"require": ["exp", "sub", "iss"]}
    claims = jwt.decode(token, keys.public_key(), algorithms=[ALGORITHM], issuer=ISSUER, options=options)  # type: ignore[arg-type]
    return int(claims["sub"])
