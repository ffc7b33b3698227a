"""Language, time zone and currency of who looks: what they chose, else the browser's language, UTC and the shop's currency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from monolith.customers.contract import customers

KEY = "visitor"


class LocaleMiddleware:
    """A customer's own choice lies in their session, so that a page costs no query for it. Others keep what Django found."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = _chosen(request)
        if not chosen:
            return self._get_response(request)
        if chosen.get("language"):
            translation.activate(chosen["language"])
            request.LANGUAGE_CODE = translation.get_language()
        with timezone.override(chosen.get("time_zone", "UTC")):
            return self._get_response(request)


def currency(request: HttpRequest) -> str:
    """ISO 4217."""
    return str(_chosen(request).get("currency", settings.CURRENCY))


def choose_currency(request: HttpRequest, code: str) -> None:
    request.session[KEY] = {**_chosen(request), "currency": code}


def remember(request: HttpRequest, *, user_id: int) -> None:
    """Take the customer's choice into their session: at log-in, and when they change it."""
    profile = customers.profile(user_id=user_id)
    language = profile.language if profile.language != settings.LANGUAGE_CODE else None
    request.session[KEY] = {"language": language, "time_zone": profile.time_zone, "currency": profile.currency}


def _chosen(request: HttpRequest) -> dict[str, Any]:
    """Opens no session for those who have none."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return {}
    return dict(request.session.get(KEY) or {})


def choices(request: HttpRequest) -> dict[str, object]:
    """Context processor: the currency of this visitor."""
    return {"currency": currency(request) if hasattr(request, "session") else settings.CURRENCY}
