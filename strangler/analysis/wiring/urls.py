"""URL patterns by name, each with the contexts that serve it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from strangler.analysis.usage import homes
from strangler.analysis.wiring import unloaded
from strangler.analysis.wiring.failures import REACHED, skip
from strangler.domain.coupling.atlas import PLATFORM, PROJECT, Atlas
from strangler.domain.coupling.edges import Skipped

Files = Mapping[str, Path]


class Route(NamedTuple):
    """``path``: as the URLconf has it, without the anchors of regular expressions.

    ``names``: with namespaces, the instance's and the application's. ``view``: None where it can't be loaded.
    """

    path: str
    names: frozenset[str]
    context: str
    view: Any


def names(routes: Iterable[Route]) -> dict[str, frozenset[str]]:
    """Name → contexts; ``platform`` for Django's own, such as those of the admin's front page."""
    found: dict[str, set[str]] = {}
    for route in routes:
        for name in route.names:
            found.setdefault(name, set()).add(route.context)
    return {name: frozenset(contexts) for name, contexts in sorted(found.items())}


def routes(atlas: Atlas, files: Files, skipped: list[Skipped]) -> Iterator[Route]:
    """Where Django could not be loaded, what the source says of the project's URLconfs outside of apps."""
    walk = _Walk(atlas, files, skipped)
    if apps.ready:
        root = str(getattr(settings, "ROOT_URLCONF", "") or "")
        yield from walk.below(get_resolver(root), "", frozenset({""}), "") if root else ()
        return
    for module in sorted(files):
        if module.rpartition(".")[2] == "urls" and atlas.of_module(module) == PROJECT:
            yield from walk.unloaded(module, "", frozenset({""}))


class _Walk:
    def __init__(self, atlas: Atlas, files: Files, skipped: list[Skipped]) -> None:
        self.atlas, self.files, self.skipped = atlas, files, skipped
        self.entered: list[str] = []

    def below(self, resolver: Any, path: str, spaces: frozenset[str], home: str) -> Iterator[Route]:
        """``spaces``: "shop:", as its names begin. ``home``: the module in which the patterns stand."""
        named = _module(resolver)
        if named and named in self.entered:  # two that include each other
            return
        module = named or home
        try:
            patterns = list(resolver.url_patterns)
        except REACHED as error:  # one URLconf that can't be imported takes all those with it that include it
            self.skipped.append(skip("urlconf", module, error))
            yield from self.unloaded(module, path, spaces)
            return
        self.entered.append(module)
        for each in patterns:
            inner = path + str(each.pattern).removeprefix("^").removesuffix("$").removesuffix(r"\Z")
            if isinstance(each, URLPattern):
                called = frozenset(f"{space}{each.name}" for space in spaces) if each.name else frozenset[str]()
                yield Route(inner, called, self._context(each.callback, module), each.callback)
            else:
                yield from self.below(each, inner, _within(spaces, each.namespace, each.app_name), module)
        self.entered.pop()

    def _context(self, view: Any, module: str) -> str:
        """Of its code, or else of the URLconf that names it; a page of the admin is its model's, or Django's."""
        model_admin = getattr(view, "model_admin", None)
        if model_admin is None and getattr(view, "admin_site", None) is not None:
            return PLATFORM
        for name in homes.modules_of(view):
            context = self.atlas.of_module(name)
            if context != PLATFORM or model_admin is not None:
                return context
        return self.atlas.of_module(module)

    def unloaded(self, module: str, path: str, spaces: frozenset[str]) -> Iterator[Route]:
        """What its source says, and those that it includes, each loaded by itself."""
        said = unloaded.patterns(self.files, module)
        self.entered.append(module)
        for name, view in said.named:
            homes_of = (self.atlas.of_module(view), self.atlas.of_module(module))
            context = next((home for home in homes_of if home != PLATFORM), PLATFORM)
            yield Route(path, frozenset(f"{space}{name}" for space in spaces), context, None)
        for urlconf, namespace, app_name in said.included:
            within = _within(spaces, namespace, app_name)
            if urlconf in self.entered:
                continue
            if not apps.ready:
                yield from self.unloaded(urlconf, path, within)
            else:
                resolver = URLResolver(RoutePattern(""), urlconf, app_name=app_name, namespace=namespace)
                yield from self.below(resolver, path, within, module)
        self.entered.pop()


def _within(spaces: frozenset[str], *inner: str | None) -> frozenset[str]:
    """A name is found by the instance's namespace, and by the application's."""
    given = {each for each in inner if each}
    return frozenset(f"{space}{each}:" for space in spaces for each in given) if given else spaces


def _module(resolver: Any) -> str:
    """Empty for a list of patterns, which is of the URLconf around it."""
    named = resolver.urlconf_name
    return named if isinstance(named, str) else str(getattr(named, "__name__", "") or "")
