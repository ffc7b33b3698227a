"""Who a request comes from, for sticky shares: never trusted, only hashed into a bucket."""

from __future__ import annotations

import base64
import hashlib
import json
import re

from strangler_proxy.headers import OWN_COOKIE, SESSION_COOKIE
from strangler_proxy.request import Request

_BEFORE_A_NAME = (b" ", b";", b"\t")
_OWN_FORM = re.compile(r"^[0-9a-f]{32}$")


def cookie(header: bytes, name: bytes) -> str:
    """The value of one cookie, or nothing."""
    at = header.find(name)
    while at >= 0:
        end = at + len(name)
        if header[end : end + 1] == b"=" and (not at or header[at - 1 : at] in _BEFORE_A_NAME):
            stop = header.find(b";", end)
            value = header[end + 1 :] if stop < 0 else header[end + 1 : stop]
            return value.strip().strip(b'"').decode("latin-1")
        at = header.find(name, end)
    return ""


def subject(authorization: bytes) -> str:
    """The ``sub`` of a bearer JWT, unverified; an opaque token stands for itself, hashed."""
    if not authorization:
        return ""
    scheme, _, token = authorization.partition(b" ")
    token = token.strip()
    if not token:
        return ""
    if scheme.lower() == b"bearer" and token.count(b".") == 2:
        payload = token.split(b".")[1]
        try:
            claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
        except (ValueError, RecursionError):
            claims = None
        if isinstance(claims, dict) and isinstance(claims.get("sub"), (str, int)):
            return str(claims["sub"])
    return hashlib.sha256(authorization).hexdigest()


def own_id(address: str) -> str:
    """The value of our own cookie for a first visit: made from the address, so that the bucket is the same before and after."""
    return hashlib.sha256(b"strangler-visitor:" + address.encode()).hexdigest()[:32]


def key(request: Request, sticky: str, address: str, session: bytes = SESSION_COOKIE) -> tuple[str, str]:
    """The user's key, and the value of the own cookie to be set (or nothing). ``session``: the name of the session's cookie.

    ``user``: token subject, else session, else own cookie, else address. ``cookie``: own cookie, else address. ``address``.
    """
    if sticky == "address":
        return address, ""
    fields = request.fields
    if sticky == "user":
        found = fields.user or subject(fields.authorization) or cookie(fields.cookie, session)
        if found:
            fields.user = found
            return found, ""
    own = cookie(fields.cookie, OWN_COOKIE)
    if _OWN_FORM.match(own):
        return own, ""
    made = own_id(address)
    return made, made
