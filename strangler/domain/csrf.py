"""Whether an unsafe request of a browser comes from the site's own pages, judged as Django's ``CsrfViewMiddleware`` judges it.

For services that have no such middleware. What the edge can't see is not in here: a token in the session (CSRF_USE_SESSIONS),
a Referer of the cookie's whole domain (CSRF_COOKIE_DOMAIN). The tests hold these rules against Django's own.
"""

from __future__ import annotations

import hmac
import re
import string
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit

from strangler.domain.site import Site

FIELD = "csrfmiddlewaretoken"
FORM_LIMIT = 64 * 1024
FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 1000  # Django's DATA_UPLOAD_MAX_NUMBER_FIELDS
_CHARACTERS = string.ascii_letters + string.digits
_TOKEN = re.compile(r"[a-zA-Z0-9]{32}(?:[a-zA-Z0-9]{32})?")


@dataclass(frozen=True)
class Sender:
    """What a request says of where it comes from. ``host`` as the user asked for it; None for what is absent."""

    host: str
    secure: bool
    origin: str | None = None
    referer: str | None = None
    cookie: str | None = None
    """The cookie with the secret."""


def is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == FORM


def field(body: bytes) -> str:
    """The token of an urlencoded form; empty if there is none."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    try:
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return ""
    return dict(fields).get(FIELD, "")


def foreign(site: Site, sender: Sender) -> str:
    """Why the sender is not the site's own page, in words; nothing if it is. Needs no token, so it can be asked first."""
    if sender.origin is not None:
        return "" if _is_own_origin(site, sender) else f"Origin is {sender.origin}, which is not this site"
    if not sender.secure:
        return ""
    return _foreign_referer(site, sender)


def _is_own_origin(site: Site, sender: Sender) -> bool:
    origin = sender.origin or ""
    if origin == f"{'https' if sender.secure else 'http'}://{sender.host}":
        return True
    if any(origin == trusted for trusted in site.trusted_origins if "*" not in trusted):
        return True
    parts = _split(origin)
    if parts is None:
        return False
    wild = (urlsplit(trusted) for trusted in site.trusted_origins if "*" in trusted)
    return any(parts.scheme == trusted.scheme and _covers(trusted.netloc.lstrip("*"), parts.netloc) for trusted in wild)


def _foreign_referer(site: Site, sender: Sender) -> str:
    """Over https a page tells by Origin or Referer where it is: who can set a cookie over plain http can't fake those."""
    if sender.referer is None:
        return "neither Origin nor Referer says where it comes from"
    parts = _split(sender.referer)
    if parts is None or not parts.scheme or not parts.netloc:
        return "Referer is malformed"
    if parts.scheme != "https":
        return "Referer is not https"
    own = (*(urlsplit(trusted).netloc.lstrip("*") for trusted in site.trusted_origins), sender.host)
    return "" if any(_covers(pattern, parts.netloc) for pattern in own) else "Referer is not this site"


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _covers(pattern: str, host: str) -> bool:
    """``.example.com`` covers itself and what is below; another covers only itself."""
    pattern = pattern.lower()
    if pattern[:1] == ".":
        return host.endswith(pattern) or host == pattern[1:]
    return bool(pattern) and host == pattern


def mismatch(cookie: str | None, token: str | None) -> str:
    """Why the token does not belong to the cookie, nothing if it does. Either is masked (64 characters) or not (32)."""
    if cookie is None:
        return "there is no CSRF cookie"
    if _TOKEN.fullmatch(cookie) is None:
        return "the CSRF cookie is malformed"
    if token is None:
        return "there is no CSRF token"
    if _TOKEN.fullmatch(token) is None:
        return "the CSRF token is malformed"
    return "" if hmac.compare_digest(_unmasked(cookie), _unmasked(token)) else "the CSRF token is not the one of the cookie"


def _unmasked(token: str) -> str:
    """The secret: each character less its mask's, by place in the alphabet."""
    if len(token) == 32:
        return token
    places = [_CHARACTERS.index(character) for character in token]
    return "".join(_CHARACTERS[secret - mask] for mask, secret in zip(places[:32], places[32:], strict=True))
