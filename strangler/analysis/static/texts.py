"""The strings that an expression is made of: literals, lists and dicts of them, and what a name was made of before."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from strangler.analysis.static.querysets import Flow
from strangler.analysis.static.scopes import words

MOST = 2_000  # nodes that one expression is made of; the names in it may stand for much
READ = words("list tuple set sorted frozenset keys items copy values")


class Text(NamedTuple):
    text: str
    node: ast.AST


def texts(flow: Flow, node: ast.AST | None, seen: set[int] | None = None) -> Iterator[Text]:
    """Of a dict: its keys. What can't be read is left out."""
    seen = set() if seen is None else seen
    if node is None or id(node) in seen or len(seen) > MOST:
        return
    seen.add(id(node))
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield Text(node.value, node)
        return
    for inner in _parts(flow, node):
        yield from texts(flow, inner, seen)


def _parts(flow: Flow, node: ast.AST) -> Iterator[ast.AST | None]:
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        yield from node.elts
    elif isinstance(node, ast.Dict):
        yield from (value if key is None else key for key, value in zip(node.keys, node.values, strict=True))
    elif isinstance(node, (ast.Starred, ast.NamedExpr, ast.Await)):
        yield node.value
    elif isinstance(node, ast.BinOp):
        yield from _chain(node)
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.BoolOp):
        yield from node.values
    elif isinstance(node, ast.Name):
        bound = flow.scopes.find(flow.scope, node.id)
        yield from bound.nodes if bound is not None else ()
    elif isinstance(node, ast.Attribute):
        yield from _attribute(flow, node)
    elif isinstance(node, ast.Call):
        yield from _call(node)
    elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
        yield from _elements(node.elt, node.generators)
    elif isinstance(node, ast.DictComp):
        yield from _elements(node.key, node.generators)


def _chain(node: ast.BinOp) -> Iterator[ast.AST]:
    """``a + b + c`` from the left, without a level for each."""
    rest: ast.AST = node
    while isinstance(rest, ast.BinOp) and isinstance(rest.op, (ast.Add, ast.BitOr)):
        yield rest.right
        rest = rest.left
    yield rest


def _attribute(flow: Flow, node: ast.Attribute) -> Iterator[ast.AST]:
    if isinstance(node.value, ast.Name):
        owner = flow.holder()[0] if node.value.id in ("self", "cls") else node.value.id
        known = flow.attributes.get((owner, node.attr))
        yield from known.nodes if known is not None else ()


def _call(node: ast.Call) -> Iterator[ast.AST]:
    func = node.func
    if isinstance(func, ast.Name) and func.id == "dict":
        yield from node.args
        for each in node.keywords:
            yield each.value if each.arg is None else ast.copy_location(ast.Constant(each.arg), each.value)
    elif isinstance(func, ast.Name) and func.id in READ:
        yield from node.args[:1]
    elif isinstance(func, ast.Attribute) and func.attr in READ:
        yield func.value


def _elements(element: ast.expr, generators: list[ast.comprehension]) -> Iterator[ast.AST]:
    """What is taken over from what it loops on, or is literal itself."""
    if not isinstance(element, ast.Name):
        yield element
        return
    for generator in generators:
        target = (
            generator.target.elts[0] if isinstance(generator.target, ast.Tuple) and generator.target.elts else generator.target
        )
        if isinstance(target, ast.Name) and target.id == element.id:
            yield generator.iter
