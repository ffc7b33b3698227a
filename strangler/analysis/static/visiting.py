"""The nodes of a module in the order of its text, and where each of them stands. No recursion: a deep tree is a long list."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from strangler.analysis.static.source import Source

# Fields that hold words, numbers, and operators, which nobody asks for.
WORDS = {"arg", "asname", "attr", "conversion", "id", "is_async", "kind", "kwd_attrs", "level", "module", "name", "names"}
WORDS |= {"ctx", "op", "ops", "rest", "simple", "str", "type_comment"}


class State(NamedTuple):
    """Where the walk is from here on: of ``Source``, its ``scope``, ``frames`` and ``typing``."""

    scope: str
    frames: tuple[ast.AST, ...]
    typing: bool


def visited(source: Source, wanted: Collection[type[ast.AST]]) -> Iterator[ast.AST]:
    """Those of the wanted classes, parents before children."""
    plan = _plan(frozenset(wanted))
    state = State("", (), False)
    stack: list[Any] = [source.tree]
    pop, push, extend = stack.pop, stack.append, stack.extend
    while stack:
        node = pop()
        is_asked, fields = plan[node.__class__]
        if is_asked:
            yield node
        if fields is None:
            if node.__class__ is State:
                state = node
                source.scope, source.frames, source.typing = state
            else:
                extend(_unfolded(node, state, source.names)[::-1])
            continue
        for field in fields:
            value = getattr(node, field)
            if value.__class__ is list:
                extend(value[::-1])
            else:
                push(value)


@lru_cache(256)
def _plan(wanted: frozenset[type]) -> dict[type, tuple[bool, tuple[str, ...] | None]]:
    """Class → whether it is wanted, and its fields: the detectors of most files are the same few."""
    return {kind: (kind in wanted, fields) for kind, fields in FIELDS.items()}


def _unfolded(node: Any, state: State, names: Mapping[str, str]) -> list[Any]:
    """What stands in a node, with the changes of place between."""
    if isinstance(node, ast.Module):
        return _named(node.body, state)
    if isinstance(node, ast.If):
        checked = state._replace(typing=True)
        if _typing(node.test, names):
            return [node.test, checked, *node.body, state, *node.orelse]
        if isinstance(node.test, ast.UnaryOp) and isinstance(node.test.op, ast.Not) and _typing(node.test.operand, names):
            return [node.test, *node.body, checked, *node.orelse, state]
        return [node.test, *node.body, *node.orelse]
    inner = State(f"{state.scope}.{node.name}".lstrip("."), (*state.frames, node), state.typing)
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords, inner, *_named(node.body, inner), state]
    given = [*node.decorator_list, *getattr(node, "type_params", ()), node.args, node.returns]
    return [*given, inner, *node.body, state]


def _named(body: list[ast.stmt], state: State) -> list[Any]:
    """The statements of a module or class; one that assigns to a plain name stands in a place of that name."""
    found: list[Any] = []
    for statement in body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        name = next((one.id for one in targets if isinstance(one, ast.Name)), "")
        if name and not isinstance(statement, ast.For | ast.AsyncFor):
            found += [state._replace(scope=f"{state.scope}.{name}".lstrip(".")), statement, state]
        else:
            found.append(statement)
    return found


def _typing(test: ast.expr, names: Mapping[str, str]) -> bool:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(_typing(value, names) for value in test.values)
    name = getattr(test, "attr", "") or getattr(test, "id", "")
    return names.get(name, name).rpartition(".")[2] == "TYPE_CHECKING"


def _classes(root: type[ast.AST]) -> Iterator[type[ast.AST]]:
    yield root
    for one in root.__subclasses__():
        yield from _classes(one)


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """Those that may hold nodes, the last first."""
    if issubclass(kind, ast.Constant | ast.MatchSingleton):
        return ()
    return tuple(field for field in reversed(kind._fields) if field not in WORDS)


FIELDS: dict[type, tuple[str, ...] | None] = {kind: _fields(kind) for kind in _classes(ast.AST)}
FIELDS |= dict.fromkeys((ast.Module, ast.If, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, State))
FIELDS |= dict.fromkeys((type(None), str, int), ())
