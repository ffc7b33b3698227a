"""Which context a piece of code belongs to: by its module, which lies in one of the context's apps."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import chain
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import ResolverMatch

from strangler import conf
from strangler.domain.estate import Estate

OURS = "strangler"  # the product itself
MOST = 10_000  # views known by heart; more can only be made at run time

_apps: tuple[Estate | None, dict[str, str]] = (None, {})
_views: dict[tuple[int, Any], tuple[str, tuple[str, ...]]] = {}


def apps() -> dict[str, str]:
    """App → context, as ``strangler.toml`` declares it now."""
    global _apps
    declared = conf.load()[0]
    if _apps[0] is not declared:
        _apps = (declared, {app: context.name for context in declared.contexts.values() for app in context.apps})
        _views.clear()
    return _apps[1]


def of_module(name: str) -> str:
    """The context of a module; ``strangler`` for the product's own; empty for all else."""
    known = apps()
    while name:
        if name in known:
            return known[name]
        if name == OURS:
            return OURS
        name = name.rpartition(".")[0]
    return ""


def of_view(match: ResolverMatch) -> str:
    """The context of the view that a request was resolved to: of its code, or else of the URLconf that names it.

    An admin page belongs to the context of its model.
    """
    return _view(match)[0]


def modules_of_view(match: ResolverMatch) -> tuple[str, ...]:
    """The modules that its context is told by, the likeliest first."""
    return _view(match)[1]


def _view(match: ResolverMatch) -> tuple[str, tuple[str, ...]]:
    known = apps()
    key = (id(known), match.func)
    if key not in _views:
        if len(_views) >= MOST:
            _views.clear()
        modules = tuple(dict.fromkeys(chain(modules_of(match.func), _naming(get_resolver(), match.func))))
        _views[key] = next(filter(None, map(of_module, modules)), ""), modules
    return _views[key]


def modules_of(view: Any) -> Iterator[str]:
    """Where a view's code may stand, the likeliest first: its model's app if it is of the admin, its class, itself."""
    while isinstance(view, functools.partial):
        view = view.func
    admin = getattr(view, "model_admin", None)
    if admin is not None:
        yield admin.model._meta.app_config.name
    for made_from in (getattr(view, "view_class", None), getattr(view, "cls", None), view):
        if made_from is not None:
            yield getattr(made_from, "__module__", "") or ""


def _naming(resolver: URLResolver, view: Any) -> Iterator[str]:
    """The URLconfs that name the view, the innermost first."""
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _naming(pattern, view)
        elif isinstance(pattern, URLPattern) and pattern.callback is view:
            yield getattr(resolver.urlconf_name, "__name__", None) or str(resolver.urlconf_name)
