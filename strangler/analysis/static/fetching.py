"""The paths of select_related and prefetch_related."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from strangler.analysis.static.lookups import Asked
from strangler.analysis.static.querysets import Flow
from strangler.analysis.static.texts import Text, texts
from strangler.domain.coupling.edges import Kind

METHODS = {
    "select_related": Kind.SELECT_RELATED,
    "prefetch_related": Kind.PREFETCH_RELATED,
    "prefetch_related_objects": Kind.PREFETCH_RELATED,
    "aprefetch_related_objects": Kind.PREFETCH_RELATED,
}
DECLARED = {
    "list_select_related": Kind.SELECT_RELATED,
    "list_prefetch_related": Kind.PREFETCH_RELATED,
    "select_related": Kind.SELECT_RELATED,
    "prefetch_related": Kind.PREFETCH_RELATED,
    "select_related_fields": Kind.SELECT_RELATED,
    "prefetch_related_fields": Kind.PREFETCH_RELATED,
}


def fetched(flow: Flow, labels: tuple[str, ...], args: list[ast.expr]) -> Iterator[Asked]:
    """``Prefetch(…, to_attr="x")`` gives a name to a path, which a later one may begin with."""
    names: dict[str, str] = {}
    for arg in args:
        for text in _paths(flow, arg, names):
            first, _, rest = text.text.partition("__")
            whole = f"{names[first]}__{rest}" if rest and first in names else text.text
            yield Asked(labels, whole, text.node)


def _paths(flow: Flow, node: ast.expr, names: dict[str, str]) -> Iterator[Text]:
    for one in _elements(flow, node, set()):
        if not isinstance(one, ast.Call):
            yield from texts(flow, one)
        elif getattr(one.func, "attr", getattr(one.func, "id", "")) in ("Prefetch", "GenericPrefetch"):
            given = {each.arg: each.value for each in one.keywords}
            for text in texts(flow, one.args[0] if one.args else given.get("lookup")):
                yield text
                for name in texts(flow, given.get("to_attr")):
                    path = text.text.rpartition("__")[0]
                    names[f"{path}__{name.text}" if path else name.text] = text.text


def _elements(flow: Flow, node: ast.expr, seen: set[int]) -> Iterator[ast.expr]:
    """The elements of lists, also by a name, so that each ``Prefetch`` in them is seen."""
    if id(node) in seen:
        return
    seen.add(id(node))
    inner: list[ast.expr] = []
    if isinstance(node, ast.Starred):
        inner = [node.value]
    elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        inner = node.elts
    elif isinstance(node, ast.BinOp):
        inner = [node.left, node.right]
    elif isinstance(node, ast.IfExp):
        inner = [node.body, node.orelse]
    elif isinstance(node, ast.Name):
        bound = flow.scopes.find(flow.scope, node.id)
        inner = list(bound.nodes) if bound is not None else []
    if not inner:
        yield node
    for one in inner:
        yield from _elements(flow, one, seen)
