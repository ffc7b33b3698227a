"""Requests as units of work where our middleware is not installed: around Django's handler, of WSGI, ASGI and the test client."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest

from strangler.analysis.usage import units

MIDDLEWARE = "strangler.seams.middleware.PositionMiddleware"


def install() -> None:
    """Idempotent."""
    if not hasattr(BaseHandler.get_response, "strangler_original"):
        BaseHandler.get_response = _answering(BaseHandler.get_response)  # type: ignore[method-assign]
        BaseHandler.get_response_async = _answering_async(BaseHandler.get_response_async)  # type: ignore[method-assign]


def _answering(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def get_response(self: BaseHandler, request: HttpRequest) -> Any:
        if MIDDLEWARE in settings.MIDDLEWARE:
            return original(self, request)
        unit, response = units.request_begun(request), None
        try:
            response = original(self, request)
        finally:
            units.request_ended(unit, response)
        return response

    get_response.strangler_original = original  # type: ignore[attr-defined]
    return get_response


def _answering_async(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def get_response_async(self: BaseHandler, request: HttpRequest) -> Any:
        if MIDDLEWARE in settings.MIDDLEWARE:
            return await original(self, request)
        unit, response = units.request_begun(request), None
        try:
            response = await original(self, request)
        finally:
            units.request_ended(unit, response)
        return response

    return get_response_async
