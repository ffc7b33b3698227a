"""URLs of another context, by their name; and URLconfs that include another's."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from strangler.analysis.static.definitions import assigned
from strangler.analysis.static.meanings import Meanings, argument
from strangler.analysis.static.source import Finding, Project
from strangler.domain.coupling.edges import Kind

PLACES = {"reverse": ("viewname", 0), "reverse_lazy": ("viewname", 0), "redirect": ("to", 0), "resolve_url": ("to", 0)}
HOMES = ("django.urls.", "django.shortcuts.", "django.core.urlresolvers.", "rest_framework.reverse.")


def reversed_(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """A list has ``reverse`` too."""
    dotted = of.dotted(call.func)
    if dotted.startswith(HOMES):
        yield from _known(of, argument(call, *PLACES[dotted.rpartition(".")[2]]))


def by_name(project: Project, own: str, name: str) -> Iterator[Finding]:
    """A name that several contexts have is one's own, if it is one's own too."""
    homes = project.urls.get(name, frozenset())
    if own not in homes:
        yield from (Finding(Kind.URL_NAME, home, name) for home in sorted(homes))


def told(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``RedirectView.as_view(pattern_name="orders:list")``"""
    for keyword in call.keywords:
        if keyword.arg == "pattern_name":
            yield from _known(of, keyword.value)


def declared(of: Meanings, made: ast.ClassDef) -> Iterator[Finding]:
    """``pattern_name`` of a ``RedirectView``."""
    for node in made.body:
        if assigned(node) == "pattern_name":
            scope = ".".join(filter(None, (of.source.scope, made.name, "pattern_name")))
            found = _known(of, node.value)  # type: ignore[attr-defined]
            yield from (finding._replace(line=node.lineno, scope=scope) for finding in found)


def _known(of: Meanings, node: ast.expr | None) -> Iterator[Finding]:
    for name in of.texts(node):
        yield from by_name(of.project, of.source.context, name)


def included(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``include("orders.urls")``, ``include(("orders.urls", "orders"))``, ``include(urls)`` of a module or of its list."""
    if not of.dotted(call.func).startswith("django."):
        return
    told = argument(call, "arg", 0)
    if isinstance(told, ast.Tuple) and told.elts:
        told = told.elts[0]
    for each in of.alternatives(told):
        name = each.value if isinstance(each, ast.Constant) and isinstance(each.value, str) else of.dotted(each)
        if name:
            yield Finding(Kind.URL_INCLUDE, of.project.atlas.of_module(name), name)


CALLS = {**dict.fromkeys(PLACES, reversed_), "include": included}
