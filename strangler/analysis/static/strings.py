"""Strings as far as they can be read: constants, f-strings, ``+``, ``%``, ``.format``, names of the module's own constants."""

from __future__ import annotations

import ast
import re

from strangler.analysis.static.source import Project, Source
from strangler.analysis.static.sql import HOLE

FORMATS = re.compile(r"\{[^{}]*\}")
PERCENT = re.compile(r"%(?:\((\w+)\))?[sdrif]")
DEEPEST = 40


class Strings:
    """``known``: names at module level → expressions."""

    def __init__(self, source: Source, project: Project) -> None:
        self.source, self.project = source, project
        self.known: dict[str, ast.expr] = {}
        for node in source.tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.known[node.targets[0].id] = node.value

    def read(self, node: ast.AST, depth: int = 0) -> str:
        """With ``HOLE`` for what can't be read; empty where nothing can."""
        if depth > DEEPEST:
            return HOLE
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else HOLE
        if isinstance(node, ast.JoinedStr):
            return "".join(self.read(one.value if isinstance(one, ast.FormattedValue) else one, depth + 1) for one in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return "".join(self.read(one, depth + 1) for one in _added(node))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            return self._percent(self.read(node.left, depth + 1), node.right, depth)
        if isinstance(node, ast.Call):
            return self._called(node, depth)
        return self._named(node, depth)

    def _named(self, node: ast.AST, depth: int) -> str:
        if isinstance(node, ast.Name) and node.id in self.known:
            return self.read(self.known[node.id], depth + 10)
        if isinstance(node, ast.Attribute) and node.attr == "db_table" and isinstance(node.value, ast.Attribute):
            label = self.project.classes.get(self.source.dotted(node.value.value))
            return self.project.models[label].table if label else HOLE
        return HOLE

    def _called(self, node: ast.Call, depth: int) -> str:
        func = node.func
        if not isinstance(func, ast.Attribute):
            return self.read(node.args[0], depth + 1) if _is_text(func) and node.args else HOLE
        if func.attr == "format":
            return self._format(self.read(func.value, depth + 1), node, depth)
        if func.attr == "join" and node.args and isinstance(node.args[0], (ast.List, ast.Tuple)):
            between = self.read(func.value, depth + 1)
            return between.join(self.read(one, depth + 1) for one in node.args[0].elts)
        if func.attr == "quote_name" and node.args:
            return self.read(node.args[0], depth + 1)
        if func.attr in ("strip", "lstrip", "rstrip"):
            return self.read(func.value, depth + 1)
        return self.read(node.args[0], depth + 1) if _is_text(func) and node.args else HOLE

    def _format(self, text: str, node: ast.Call, depth: int) -> str:
        named = {each.arg: each.value for each in node.keywords if each.arg}
        places = iter(node.args)

        def fill(found: re.Match[str]) -> str:
            name = re.split(r"[!:.\[]", found[0][1:-1])[0]
            given = named.get(name) or (
                node.args[int(name)] if name.isdigit() and int(name) < len(node.args) else None if name else next(places, None)
            )
            return self.read(given, depth + 1) if given is not None else HOLE

        return FORMATS.sub(fill, text)

    def _percent(self, text: str, given: ast.expr, depth: int) -> str:
        named = dict(zip(map(_key, given.keys), given.values, strict=True)) if isinstance(given, ast.Dict) else {}
        places = iter(given.elts if isinstance(given, ast.Tuple) else [given])

        def fill(found: re.Match[str]) -> str:
            value = named.get(found[1]) if found[1] else next(places, None)
            return self.read(value, depth + 1) if value is not None else HOLE

        return PERCENT.sub(fill, text)


def _added(node: ast.BinOp) -> list[ast.expr]:
    parts: list[ast.expr] = []
    rest: ast.expr = node
    while isinstance(rest, ast.BinOp) and isinstance(rest.op, ast.Add):
        parts.append(rest.right)
        rest = rest.left
    return [rest, *reversed(parts)]


def _is_text(func: ast.expr) -> bool:
    """``sql.SQL("…")``, ``sql.Identifier("…")``, ``dedent("…")``"""
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    return name in ("SQL", "Identifier", "dedent", "text", "str")


def _key(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
