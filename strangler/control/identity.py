"""Whose credential is this? The monolith tells the proxy, which signs it for services (DESIGN section 9).

The project's own middleware reads the session. For ``Authorization``, Django REST framework's DEFAULT_AUTHENTICATION_CLASSES are
asked, where it is installed. Nothing is written: a session that no longer holds is not flushed by a mere question.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from strangler.control.views import bearer

CREDENTIAL = "HTTP_X_STRANGLER_AUTHORIZATION"
"""The user's own ``Authorization``: that of the request is the proxy's."""


@never_cache
@require_GET
@bearer
def identity(request: HttpRequest) -> HttpResponse:
    """``{"user": {"id", "staff", "superuser", "active"}}``, or ``{"user": null}`` for a credential that is nobody's."""
    _present(request)
    user = _user(request)
    if user is None or not user.is_authenticated:
        return JsonResponse({"user": None})
    flags = {"staff": "is_staff", "superuser": "is_superuser", "active": "is_active"}
    return JsonResponse(
        {"user": {"id": str(user.pk), **{name: bool(getattr(user, field, False)) for name, field in flags.items()}}}
    )


def _present(request: HttpRequest) -> None:
    """The request becomes the user's, on a session that is only read. What is lazy in it was not evaluated yet."""
    credential = request.META.pop(CREDENTIAL, None)
    if credential is None:
        del request.META["HTTP_AUTHORIZATION"]
    else:
        request.META["HTTP_AUTHORIZATION"] = credential
    request.__dict__.pop("headers", None)  # Django made them of the META before
    session = getattr(request, "session", None)
    if session is not None:
        request.session = _only_read(session)


def _only_read(session: SessionBase) -> Any:
    return type("ReadSession", (_Read, type(session)), {})(session.session_key)


class _Read(SessionBase):
    """Leaves its storage alone."""

    def save(self, must_create: bool = False) -> None: ...

    def delete(self, session_key: str | None = None) -> None: ...

    def create(self) -> None: ...


def _user(request: HttpRequest) -> Any:
    by_session = getattr(request, "user", AnonymousUser())
    if "HTTP_AUTHORIZATION" not in request.META or not apps.is_installed("rest_framework"):
        return by_session
    from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied
    from rest_framework.request import Request
    from rest_framework.settings import api_settings

    authenticators = [kind() for kind in api_settings.DEFAULT_AUTHENTICATION_CLASSES]
    try:
        asked = Request(request, authenticators=authenticators)
        return asked.user if asked.successful_authenticator else by_session
    except (AuthenticationFailed, NotAuthenticated, PermissionDenied):
        return None
