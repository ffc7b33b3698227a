"""Other contexts' models in a context's admin."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from strangler.analysis.static.definitions import assigned, last_name
from strangler.analysis.static.meanings import Meanings, argument
from strangler.analysis.static.source import Finding
from strangler.domain.coupling.edges import Kind

DJANGOS = ("django.contrib.admin.", "django.contrib.gis.admin.")
INLINES = ("Inline", "InlineModelAdmin")
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
    if not isinstance(function, ast.Attribute):
        return False
    made = of.definition(function.value)
    if made is not None:
        return of.is_instance(function.value, "AdminSite") or (made.kind == "import" and made.what.startswith(DJANGOS))
    owner = last_name(function.value)
    return owner == "site" or owner.endswith("_site")  # what a function was given, or self.admin_site


def marked(of: Meanings, made: ast.ClassDef) -> Iterator[Finding]:
    """``@admin.register(Order)``: it stands for the class that it marks."""
    scope = ".".join(filter(None, (of.source.scope, made.name)))
    for mark in made.decorator_list:
        if isinstance(mark, ast.Call) and of.dotted(mark.func).endswith("register"):
            yield from (finding._replace(line=mark.lineno, scope=scope) for finding in registered(of, mark))


def inline(of: Meanings, made: ast.ClassDef) -> Iterator[Finding]:
    """Its model, which it says itself or has from an inline that it comes from."""
    bases = [dotted for base in made.bases if (dotted := of.dotted(base.value if isinstance(base, ast.Subscript) else base))]
    if not any(of.derives(base, *INLINES) for base in bases):
        return
    said = next((each for each in made.body if assigned(each) == "model"), None)
    labels = of.labels(said.value) if said is not None else _inherited(of, bases)  # type: ignore[attr-defined]
    scope = ".".join(filter(None, (of.source.scope, made.name)))
    for label in labels:
        yield Finding(Kind.ADMIN_INLINE, of.project.atlas.of_model(label), label, line=(said or made).lineno, scope=scope)


def _inherited(of: Meanings, bases: Iterable[str], left: int = FARTHEST) -> list[str]:
    for base in bases if left else ():
        made = of.made(base)
        if made is not None and made.kind == "class":
            label = of.label(made.model) or of.of_class(made.model)
            found = [label] if label else _inherited(of, made.bases, left - 1)
            if made.model or found:
                return found
    return []
