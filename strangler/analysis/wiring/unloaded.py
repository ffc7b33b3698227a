"""What the source of a URLconf says that can't be imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from strangler.analysis.static.definitions import Definition, keyword_text, last_name, table
from strangler.analysis.static.names import UNPARSED

PATTERNS = ("path", "re_path", "url")


class Said(NamedTuple):
    """``named``: name and its view's dotted name. ``included``: URLconf, namespace, name of the application."""

    named: tuple[tuple[str, str], ...] = ()
    included: tuple[tuple[str, str, str], ...] = ()


def patterns(files: Mapping[str, Path], module: str) -> Said:
    """Of what can't be read either, nothing: the walk over the source names it."""
    path = files.get(module)
    try:
        tree = ast.parse(path.read_bytes(), str(path)) if path is not None else None
    except UNPARSED:
        tree = None
    if tree is None or path is None:
        return Said()
    known = table(module, tree, is_package=path.name == "__init__.py")
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = tuple(_named(known, [call for call in calls if last_name(call.func) in PATTERNS]))
    return Said(named, tuple(_included(files, [call for call in calls if last_name(call.func) == "include"])))


def _named(known: Mapping[str, Definition], calls: list[ast.Call]) -> Iterator[tuple[str, str]]:
    for call in calls:
        name = keyword_text(call, "name")
        if name:
            yield name, _dotted(known, call.args[1]) if len(call.args) > 1 else ""


def _dotted(known: Mapping[str, Definition], view: ast.expr) -> str:
    """``views.Order.as_view()`` → ``shop.orders.views.Order.as_view``"""
    if isinstance(view, ast.Call):
        return _dotted(known, view.args[0] if view.args else view.func)  # login_required(view)
    first, dot, rest = ast.unparse(view).partition(".")
    made = known.get(first)
    return f"{made.what if made.kind == 'import' else made.dotted}{dot}{rest}" if made else ""


def _included(files: Mapping[str, Path], calls: list[ast.Call]) -> Iterator[tuple[str, str, str]]:
    for call in calls:
        told = call.args[0] if call.args else None
        parts = told.elts if isinstance(told, ast.Tuple) else [told] if told is not None else []
        texts = [str(part.value) for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if texts:
            app_name = texts[1] if len(texts) > 1 else _app_name(files, texts[0])
            yield texts[0], keyword_text(call, "namespace") or app_name, app_name


def _app_name(files: Mapping[str, Path], module: str) -> str:
    path = files.get(module)
    try:
        tree = ast.parse(path.read_bytes()) if path is not None else ast.Module([], [])
    except UNPARSED:
        return ""
    for node in tree.body:
        if isinstance(node, ast.Assign) and "app_name" in map(last_name, node.targets):
            return str(node.value.value) if isinstance(node.value, ast.Constant) else ""
    return ""
