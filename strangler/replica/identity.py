"""Who is asking, on a lifted service: the monolith's session, the users' read copy, and no write to either.

Sessions are shared storage. Django's own middleware compares the session with the password's hash, which a read copy does not
have, and *flushes* the session where they differ: one visit would log the user out everywhere. Here nothing is ever flushed.

Where the proxy says who asks (``X-Strangler-Identity``, DESIGN section 9), that is believed before the session: it has asked the
monolith, and signed the answer for this context. A header that is not good is 401, never anonymous.

``STRANGLER_SESSION_HASH = True`` says that the read copy has all that ``get_session_auth_hash`` is made of; then a session that
ended with a change of the password is anonymous here too.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions import middleware
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.crypto import constant_time_compare
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject

from strangler import conf
from strangler.domain import tokens
from strangler.problems import problem
from strangler.replica import quiet

HEADER = "HTTP_X_STRANGLER_IDENTITY"


class SessionMiddleware(middleware.SessionMiddleware):
    """Django's, on the monolith's session storage; while the service is not the owner it writes nothing (P26)."""

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
        self.SessionStore = type("QuietSession", (_Quiet, store), {})

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        if request.session.modified and not quiet.owns_here():
            quiet.suppress("session")
        elif request.session.modified:
            return super().process_response(request, response)
        if request.session.accessed:
            patch_vary_headers(response, ("Cookie",))
        return response


class _Quiet(SessionBase):
    """A session whose storage is only read while the service is not the owner."""

    def save(self, must_create: bool = False) -> None:
        if quiet.owns_here():
            super().save(must_create)
        else:
            quiet.suppress("session")

    def delete(self, session_key: str | None = None) -> None:
        if quiet.owns_here():
            super().delete(session_key)
        else:
            quiet.suppress("session")


class AuthenticationMiddleware(MiddlewareMixin):
    """``request.user`` from the read copy, by the proxy's word or by the session's; an inactive or unknown one is anonymous.

    With ``Authorization`` the proxy's word is judged and no more: Django's own views never looked at that field, and those of
    Django REST framework do so themselves.
    """

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:
        try:
            said = _subject(request)
        except tokens.BadToken as error:
            return problem(401, "Unauthorized", f"X-Strangler-Identity is not good here: {error}")
        if "HTTP_AUTHORIZATION" in request.META:
            said = ""
        request.user = SimpleLazyObject(lambda: _by_word(said) or user_of(request.session))  # type: ignore[assignment]
        return None


def _subject(request: HttpRequest) -> str:
    """The user's id in the proxy's header; nothing where there is none. Raises ``BadToken``."""
    token = request.META.get(HEADER)
    if token is None:
        return ""
    claims = tokens.verify(conf.service_secret(), token, audience=str(conf.setting("CONTEXT")), now=time.time())
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise tokens.BadToken("it names nobody")
    return subject


def _by_word(subject: str) -> Any:
    """The user of that id; None if the read copy has none."""
    users = get_user_model()
    try:
        user = users._default_manager.get(pk=users._meta.pk.to_python(subject)) if subject else None
    except (users.DoesNotExist, ValidationError):
        return None
    return user if user is None or user.is_active else AnonymousUser()


def user_of(session: SessionBase) -> Any:
    """The user of a session. Only reads."""
    users = get_user_model()
    try:
        user = users._default_manager.get(pk=users._meta.pk.to_python(session[SESSION_KEY]))
    except (KeyError, users.DoesNotExist):
        return AnonymousUser()
    return user if user.is_active and _still_holds(session, user) else AnonymousUser()


def _still_holds(session: SessionBase, user: Any) -> bool:
    if not getattr(settings, "STRANGLER_SESSION_HASH", False):
        return True
    stored = session.get(HASH_SESSION_KEY, "")
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(stored, genuine) for genuine in hashes)
