"""The language and the time zone of who looks: what the visitor chose, else the browser's language and UTC."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from monolith.customers.contract import customers

KEY = "locale"


class LocaleMiddleware:
    """A customer's own choice lies in their session, so that a page costs no query for it. Others keep what Django found."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return self._get_response(request)
        language, zone = request.session.get(KEY) or (None, "UTC")
        if language:
            translation.activate(language)
            request.LANGUAGE_CODE = translation.get_language()
        with timezone.override(zone):
            return self._get_response(request)


def remember(request: HttpRequest, *, user_id: int) -> None:
    """Take the customer's choice into their session: at log-in, and when they change it."""
    chosen = customers.profile(user_id=user_id)
    request.session[KEY] = (chosen.language if chosen.language != settings.LANGUAGE_CODE else None, chosen.time_zone)
