"""Endpoints by the names that Django's URL patterns give them: ``GET /api/payments/<int:id>/``, never a raw path."""

from __future__ import annotations

import functools
import re
from urllib.parse import unquote

from django.conf import settings
from django.core.signals import setting_changed
from django.urls import Resolver404, resolve
from django.utils.translation import get_language_from_path, override

MOST = 500
OTHER = "other"
"""The name of what comes after ``MOST`` endpoints of a context, and of samples whose path is not known."""
_ANCHORS = re.compile(r"\\[AZz]|(?<!\\)[\^$]")
_GUESSES = (
    (re.compile(r"[0-9]+"), "<int>"),
    (re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"), "<uuid>"),
    (re.compile(r"(?=.*[0-9])[\w.~%=+-]{16,}"), "<token>"),
)


def named(method: str, target: str) -> str:
    """``target`` as in the request line. A path that Django does not know is named by its shape."""
    return f"{method} {_pattern(target.partition('?')[0])}"


@functools.lru_cache(maxsize=4096)
def _pattern(path: str) -> str:
    path = unquote(path).replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    language = get_language_from_path(path) if settings.USE_I18N else None
    try:
        if language:
            with override(language):
                route = resolve(path).route
        else:
            route = resolve(path).route
    except Resolver404:
        return "/".join(_guess(segment) for segment in path.split("/"))[:200]
    return "/" + _ANCHORS.sub("", str(route)).lstrip("/")


def _guess(segment: str) -> str:
    return next((name for form, name in _GUESSES if form.fullmatch(segment)), segment)


def _forget(*, setting: str, **_: object) -> None:
    if setting in ("ROOT_URLCONF", "USE_I18N", "LANGUAGES"):
        _pattern.cache_clear()


setting_changed.connect(_forget)
