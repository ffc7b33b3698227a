"""Templates that code renders by their name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from strangler.analysis.static.definitions import last_name
from strangler.analysis.static.meanings import Meanings, argument
from strangler.analysis.static.source import Finding
from strangler.domain.coupling.edges import Kind

PLACES = {
    "render": ("template_name", 1),
    "render_to_string": ("template_name", 0),
    "get_template": ("template_name", 0),
    "select_template": ("template_name_list", 0),
    "TemplateResponse": ("template", 1),
    "SimpleTemplateResponse": ("template", 0),
    "inclusion_tag": ("filename", 0),
}
"""Callable → where it is told the template's name."""


def rendered(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """Django's functions alone: ``render`` of another library takes something else."""
    dotted = of.dotted(call.func)
    name = dotted.rpartition(".")[2] or last_name(call.func)
    if dotted.startswith("django.") or name == "inclusion_tag":
        yield from _known(of, argument(call, *PLACES[name]))


CALLS = dict.fromkeys(PLACES, rendered)


def told(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    """``template_name="orders/order.html"`` says of whatever is called that it renders."""
    for keyword in call.keywords:
        if keyword.arg == "template_name":
            yield from _known(of, keyword.value)


def declared(of: Meanings, made: ast.ClassDef) -> Iterator[Finding]:
    """``template_name`` of a view or a widget, ``change_form_template`` of an admin; what ``get_template_names`` gives."""
    inside = ".".join(filter(None, (of.source.scope, made.name)))
    for node in made.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id.endswith(("template_name", "_template")):
                for finding in _known(of, node.value):
                    yield finding._replace(line=node.lineno, scope=f"{inside}.{target.id}")
        elif isinstance(node, ast.FunctionDef) and node.name == "get_template_names":
            for each in (part for part in ast.walk(node) if isinstance(part, ast.Return)):
                for finding in _known(of, each.value):
                    yield finding._replace(line=each.lineno, scope=f"{inside}.{node.name}")


def _known(of: Meanings, node: ast.expr | None) -> Iterator[Finding]:
    for name in of.texts(node):
        if name in of.project.templates:
            yield Finding(Kind.TEMPLATE, of.project.templates[name][0], name)
