"""What the project serves: each path with the methods that its view takes, and where that view stands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from strangler.analysis.static.source import Project
from strangler.analysis.wiring.urls import Route

METHODS = ("get", "post", "put", "patch", "delete")
ANY = "ANY"
ADMINS = ("admin_site", "model_admin")  # what Django's admin marks its views with
WRAPPED = 64  # decorators around a view; what answers to every name is not followed without end


def served(project: Project, routes: Iterable[Route]) -> dict[str, tuple[str, str]]:
    """``GET,POST /api/orders/<int:pk>/`` → context and place of the view, ``FILE:QUALNAME``; "ANY" for a function that takes
    whatever comes. Django takes the first of two. Pages of the admin are not counted: they stay behind, or are made anew.
    """
    found: dict[str, tuple[str, str]] = {}
    for route in routes:
        if route.view is not None and not any(hasattr(route.view, mark) for mark in ADMINS):
            view = unwrapped(route.view)
            methods = _methods(route.view, view)
            found.setdefault(f"{','.join(methods)} /{route.path}", (route.context, _place(project, view)))
    return found


def _place(project: Project, view: Any) -> str:
    """Empty for a view that is not of the project's own files."""
    module, name = str(getattr(view, "__module__", "")), str(getattr(view, "__qualname__", ""))
    path = project.files.get(module)
    return f"{project.named(path, module)}:{name.replace('<locals>.', '')}" if path and name else ""


def unwrapped(callback: Any) -> Any:
    """The class behind ``as_view()``, the function behind decorators and partials; of any other object, its class."""
    *_, view = _layers(callback)
    return view if hasattr(view, "__qualname__") else type(view)


def _layers(callback: Any) -> Iterator[Any]:
    for _ in range(WRAPPED):
        yield callback
        made_from = getattr(callback, "view_class", None) or getattr(callback, "cls", None)
        if made_from is not None:
            yield made_from
            return
        if not isinstance(callback, functools.partial) and not hasattr(callback, "__wrapped__"):
            return
        callback = callback.func if isinstance(callback, functools.partial) else callback.__wrapped__


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
    for layer in _layers(callback):
        names = getattr(getattr(layer, "__code__", None), "co_freevars", ())
        if "request_method_list" in names:
            told = layer.__closure__[names.index("request_method_list")].cell_contents
            return tuple(method.upper() for method in METHODS if method.upper() in told)
    return ()
