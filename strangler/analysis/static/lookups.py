"""The paths of lookups that a call on a queryset is given, each with the models that it starts from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from strangler.analysis.static.querysets import Flow
from strangler.analysis.static.scopes import words
from strangler.analysis.static.texts import Text, texts

KEYWORDS = words(
    "filter exclude get get_or_create update_or_create aget aget_or_create aupdate_or_create get_object_or_404 get_list_or_404 "
    "aget_object_or_404 aget_list_or_404"
)
NAMES = words("order_by values values_list only defer distinct latest alatest earliest aearliest")
FIRST = words("dates datetimes")  # only the first argument is a path
EXPRESSIONS = words("annotate alias aggregate aaggregate update aupdate")
METHODS = KEYWORDS | NAMES | FIRST | EXPRESSIONS
NO_PATHS = words("Value RawSQL Exact Prefetch")
CONDITIONS = words("Q When")
# Of expressions: keywords whose strings are paths.
PATHS_IN = words("then default order_by partition_by expression expressions ordering")
STARTERS = CONDITIONS | {"F"}


class Asked(NamedTuple):
    labels: tuple[str, ...]
    text: str
    node: ast.AST


class Lookups:
    """``consumed``: the Q, F and When whose model is known; the others stand free."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.consumed: set[int] = set()

    def of_call(self, node: ast.Call, method: str, labels: tuple[str, ...], args: list[ast.expr]) -> Iterator[Asked]:
        if method in KEYWORDS:
            yield from self._keywords(node, labels)
        if method in NAMES or method in FIRST:
            for arg in args[:1] if method in FIRST else args:
                yield from (Asked(labels, text.text, text.node) for text in self._names(arg))
        for arg in args:
            yield from self.expression(arg, labels)
        for keyword in node.keywords:
            yield from self.expression(keyword.value, labels)

    def _keywords(self, node: ast.Call, labels: tuple[str, ...]) -> Iterator[Asked]:
        for keyword in node.keywords:
            if keyword.arg is None:
                yield from (Asked(labels, text.text, text.node) for text in texts(self.flow, keyword.value))
            elif keyword.arg not in ("defaults", "create_defaults"):
                yield Asked(labels, keyword.arg, keyword)

    def _names(self, node: ast.AST) -> Iterator[Text]:
        """Strings that stand as such, not those inside of expressions."""
        if not isinstance(node, ast.Call) or not _is_class(_called(node)):
            yield from texts(self.flow, node)

    # ---- expressions ----------------------------------------------------------------------------------------------------

    def expression(self, node: ast.AST | None, labels: tuple[str, ...], seen: set[int] | None = None) -> Iterator[Asked]:
        """What ``Q``, ``F``, ``When``, aggregates and functions in it name, also by names that stand for them."""
        seen = set() if seen is None else seen
        if node is None or id(node) in seen or isinstance(node, ast.Constant):
            return
        seen.add(id(node))
        if isinstance(node, ast.Call):
            if self.flow.rows(node):
                yield from self._outer(node, labels, 1, seen)
            else:
                yield from self._called(node, labels, seen)
        elif isinstance(node, ast.Name):
            bound = self.flow.scopes.find(self.flow.scope, node.id)
            if bound is not None and not (bound.value is not None and bound.value.shape == "one"):
                for made in bound.nodes:
                    yield from self.expression(made, labels, seen)
        elif not isinstance(node, ast.Lambda):
            for inner in ast.iter_child_nodes(node):
                yield from self.expression(inner, labels, seen)

    def _called(self, node: ast.Call, labels: tuple[str, ...], seen: set[int]) -> Iterator[Asked]:
        name = _called(node)
        if name in NO_PATHS or name == "OuterRef":
            return
        if name in STARTERS:
            self.consumed.add(id(node))
        yield from self._texts(node, name, labels)
        yield from self.expression(node.func.value if isinstance(node.func, ast.Attribute) else None, labels, seen)
        for inner in (*node.args, *(each.value for each in node.keywords)):
            yield from self.expression(inner, labels, seen)

    def _texts(self, node: ast.Call, name: str, labels: tuple[str, ...]) -> Iterator[Asked]:
        if name in CONDITIONS:
            for keyword in node.keywords:
                if keyword.arg is None:
                    yield from (Asked(labels, text.text, text.node) for text in texts(self.flow, keyword.value))
                elif not (name == "When" and keyword.arg in ("then", "condition")) and not keyword.arg.startswith("_"):
                    yield Asked(labels, keyword.arg, keyword)
            pairs = [arg.elts[0] for arg in node.args if isinstance(arg, ast.Tuple) and arg.elts]
            yield from (Asked(labels, text.text, text.node) for pair in pairs for text in texts(self.flow, pair))
        if _is_class(name) and name != "Q":
            given = [*node.args, *(each.value for each in node.keywords if each.arg in PATHS_IN or name == "JSONObject")]
            for arg in given:
                if not isinstance(arg, ast.Call):
                    yield from (Asked(labels, text.text.lstrip("-"), text.node) for text in texts(self.flow, arg))

    def _outer(self, node: ast.AST, labels: tuple[str, ...], depth: int, seen: set[int]) -> Iterator[Asked]:
        """Of a subquery: ``OuterRef`` is of the query around it, and one within another of the query around that."""
        for inner in ast.iter_child_nodes(node):
            if id(inner) in seen:
                continue
            if isinstance(inner, ast.Call) and _called(inner) == "OuterRef":
                levels, path = _unwrapped(inner)
                if levels == depth:
                    yield from (Asked(labels, text.text, text.node) for text in texts(self.flow, path))
                continue
            seen.add(id(inner))
            chained = inner in (getattr(node, "func", None), getattr(node, "value", None))
            nested = isinstance(inner, ast.Call) and not chained and bool(self.flow.rows(inner))
            if isinstance(inner, ast.Name) and not chained:
                bound = self.flow.scopes.find(self.flow.scope, inner.id)
                for made in bound.nodes if bound is not None else ():
                    yield from self._outer(made, labels, depth + bool(self.flow.rows(made)), seen)
            else:
                yield from self._outer(inner, labels, depth + nested, seen)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_class(name: str) -> bool:
    return name[:1].isupper()


def _unwrapped(node: ast.Call) -> tuple[int, ast.AST | None]:
    levels, inner = 0, node
    while isinstance(inner, ast.Call) and _called(inner) == "OuterRef":
        levels += 1
        found = inner.args[0] if inner.args else None
        if not isinstance(found, ast.Call):
            return levels, found
        inner = found
    return levels, inner
