"""Other contexts' models in a context's admin."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from strangler.analysis.static.definitions import last_name
from strangler.analysis.static.meanings import Meanings, argument
from strangler.analysis.static.source import Finding
from strangler.domain.coupling.edges import Kind

DJANGOS = ("django.contrib.admin.", "django.contrib.gis.admin.")
FARTHEST = 8  # bases of bases


def registered(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``admin.site.register(Order)``, ``@admin.register(Order, Line)``; other things have ``register`` too."""
    if _of_a_site(of, call.func):
        models = call.args if of.dotted(call.func).endswith("admin.register") else [argument(call, "model_or_iterable", 0)]
        for label in dict.fromkeys(label for each in models for label in of.labels(each)):
            yield Finding(Kind.ADMIN, of.project.atlas.of_model(label), label)


CALLS = {"register": registered}


def _of_a_site(of: Meanings, function: ast.expr) -> bool:
    dotted = of.dotted(function)
    if dotted.startswith(DJANGOS):
        return True
    if isinstance(function, ast.Attribute) and (made := of.definition(function.value)) is not None:
        return made.kind == "site" or (made.kind == "import" and made.what.startswith(DJANGOS))
    owner = last_name(function.value) if isinstance(function, ast.Attribute) else ""
    return owner == "site" or owner.endswith("_site")  # what a function was given, or self.admin_site


def inline(of: Meanings, made: ast.ClassDef) -> Iterator[Finding]:
    """An inline's model, where the class itself says it."""
    said = [each for each in made.body if isinstance(each, (ast.Assign, ast.AnnAssign)) and _names(each) == "model"]
    if said and any(_is_inline(of, base) for base in made.bases):
        scope = ".".join(filter(None, (of.source.scope, made.name)))
        for label in of.labels(said[-1].value):
            yield Finding(Kind.ADMIN_INLINE, of.project.atlas.of_model(label), label, line=said[-1].lineno, scope=scope)


def _names(node: ast.Assign | ast.AnnAssign) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return target.id if isinstance(target, ast.Name) else ""


def _is_inline(of: Meanings, base: ast.expr) -> bool:
    """By the name of a package's class; the project's own are followed to such a one."""
    dotted = of.dotted(base.value if isinstance(base, ast.Subscript) else base)
    return _leads_to_inline(of, dotted, FARTHEST)


def _leads_to_inline(of: Meanings, dotted: str, left: int) -> bool:
    made = of.made(dotted)
    if made is None or made.kind == "import":
        return (made.what if made else dotted).endswith(("Inline", "InlineModelAdmin"))
    return left > 0 and any(_leads_to_inline(of, base, left - 1) for base in made.bases)
