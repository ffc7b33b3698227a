"""Every URL that the project serves, as the URLconf has it, with the methods that its view takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("get", "post", "put", "patch", "delete")
ANY = "ANY"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``route``: "/api/orders/<int:pk>/". ``methods``: ("GET", "POST"), or ("ANY",) of a function that takes whatever comes.
    ``name``: with its namespaces, "shop:order". ``module``: where the view stands; ``urlconf``: where the pattern does.
    """

    route: str
    methods: tuple[str, ...]
    name: str
    module: str
    urlconf: str

    def __str__(self) -> str:
        return f"{','.join(self.methods)} {self.route}"


def endpoints() -> list[Endpoint]:
    """Raises what the project's URLconf raises when it is imported."""
    return list(_below(get_resolver(), "/", (), ""))


def _below(resolver: Any, before: str, spaces: tuple[str, ...], urlconf: str) -> Iterator[Endpoint]:
    name = getattr(resolver.urlconf_name, "__name__", resolver.urlconf_name)
    urlconf = name if isinstance(name, str) else urlconf  # a list of patterns stands where it is included
    for entry in resolver.url_patterns:
        route = _joined(before, str(entry.pattern))
        if isinstance(entry, URLResolver):
            yield from _below(entry, route, (*spaces, *([entry.namespace] if entry.namespace else [])), urlconf)
        elif isinstance(entry, URLPattern):
            view = unwrapped(entry.callback)
            name = ":".join((*spaces, entry.name)) if entry.name else ""
            yield Endpoint(route, _methods(entry.callback, view), name, str(getattr(view, "__module__", "")), urlconf)


def _joined(before: str, pattern: str) -> str:
    """Regular expressions are anchored, and say so in the middle of a path."""
    return before + pattern.removeprefix("^").removesuffix("$").removesuffix(r"\Z")


def unwrapped(callback: Any) -> Any:
    """The class behind ``as_view()``, the function behind decorators and partials."""
    while True:
        if isinstance(callback, functools.partial):
            callback = callback.func
        elif hasattr(callback, "view_class") or hasattr(callback, "cls"):
            return getattr(callback, "view_class", None) or callback.cls
        elif hasattr(callback, "__wrapped__"):
            callback = callback.__wrapped__
        else:
            return callback if hasattr(callback, "__module__") and not isinstance(callback, type(None)) else type(callback)


def _methods(callback: Any, view: Any) -> tuple[str, ...]:
    actions = getattr(callback, "actions", None)  # of a viewset: {"get": "list"}
    if isinstance(actions, dict):
        return tuple(method.upper() for method in METHODS if method in actions)
    if inspect.isclass(view):
        allowed = getattr(view, "http_method_names", METHODS)
        return tuple(method.upper() for method in METHODS if method in allowed and hasattr(view, method)) or (ANY,)
    return _required(callback) or (ANY,)


def _required(callback: Any) -> tuple[str, ...]:
    """What ``require_http_methods`` was given: only its closure knows."""
    while callback is not None:
        names = getattr(getattr(callback, "__code__", None), "co_freevars", ())
        if "request_method_list" in names:
            told = callback.__closure__[names.index("request_method_list")].cell_contents
            return tuple(method.upper() for method in METHODS if method.upper() in told)
        callback = getattr(callback, "__wrapped__", None)
    return ()
