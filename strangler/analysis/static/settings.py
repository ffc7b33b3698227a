"""Settings that name another context's code, where they are read; and the user model behind its setting."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from strangler.analysis.static.meanings import SETTINGS, USER_MODEL, Meanings
from strangler.analysis.static.source import Finding
from strangler.domain.coupling.edges import Kind

LEFT_TO_OTHERS = ("ForeignKey", "ParentalKey", "OneToOneField", "ManyToManyField", "swappable_dependency")
"""How calls end in which the user model is a relation's or a migration's, with edges of their own."""
WHOLE = {"INSTALLED_APPS"}  # names every context: who reads it knows none


def read(of: Meanings, node: ast.Attribute, of_relation: bool) -> Iterator[Finding]:
    """``settings.PRICING``; of Django's settings, not of another object of that name."""
    if of_relation and node.attr == USER_MODEL:
        return
    wanted = f"{SETTINGS}.{node.attr}"
    if isinstance(node.ctx, ast.Load) and of.source.dotted(node) == wanted and of.dotted(node) == wanted:
        yield from _named(of, node.attr)


def got(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``getattr(settings, "PRICING", None)``"""
    if len(call.args) > 1 and of.source.dotted(call.args[0]) == SETTINGS == of.dotted(call.args[0]):
        for name in of.texts(call.args[1]):
            yield from _named(of, name)


def user_model(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    if of.dotted(call.func).startswith("django.contrib.auth."):
        yield from _named(of, USER_MODEL)


CALLS = {"getattr": got, "get_user_model": user_model}


def _named(of: Meanings, name: str) -> Iterator[Finding]:
    atlas = of.project.atlas
    if name == USER_MODEL:
        if of.user_model:
            yield Finding(Kind.SWAPPED, atlas.of_model(of.user_model), name)
    elif name not in WHOLE:
        named, models = of.project.settings.get(name, ()), of.project.models
        homes = {atlas.of_model(text) if text in models else atlas.of_module(text) for text in named}
        yield from (Finding(Kind.SETTING, home, name) for home in sorted(homes))
