"""What the names of a module stand for, as the walk goes over it: each function has its own, and sees those around it.

A name that is assigned gets its new meaning behind the assignment, and one of a comprehension loses it behind that.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import NamedTuple

Place = tuple[int, int]


class Value(NamedTuple):
    """What an expression is of.

    ``shape``: "class" of a model, "set" (a queryset, a manager, a list of instances), "rows" (a queryset that gives none), "one"
    (an instance), "pair" (an instance and a flag), "map" (a dict of instances), "holder" (an admin, a view, a serializer …),
    "relation" (a field on its class), "meta". ``labels``: of the models; several where a class is used by several. ``text``: the
    path of a relation.
    """

    shape: str
    labels: tuple[str, ...]
    text: str = ""


@dataclass(slots=True)
class Bound:
    """``nodes``: all expressions that the name was made of, for what can be read in them."""

    value: Value | None = None
    nodes: tuple[ast.expr, ...] = ()


@dataclass
class Scopes:
    """``classes``: qualnames whose names are not seen from the functions in them."""

    classes: set[str] = field(default_factory=set)
    _names: dict[str, dict[str, Bound]] = field(default_factory=dict)
    _waiting: list[tuple[Place, str, str, Bound | None]] = field(default_factory=list)

    def find(self, scope: str, name: str) -> Bound | None:
        """None: it is bound nowhere, so it may be the module's."""
        at = scope
        while True:
            if at == scope or at not in self.classes:
                known = self._names.get(at)
                if known is not None and name in known:
                    return known[name]
            if not at:
                return None
            at = at.rpartition(".")[0]

    def own(self, scope: str, name: str) -> Bound | None:
        return self._names.get(scope, {}).get(name)

    def bind(self, scope: str, name: str, bound: Bound | None, behind: Place | None = None) -> None:
        if behind is not None:
            self._waiting.append((behind, scope, name, bound))
        elif bound is None:
            self._names.get(scope, {}).pop(name, None)
        else:
            self._names.setdefault(scope, {})[name] = bound

    def borrow(self, scope: str, name: str, bound: Bound, until: Place) -> None:
        """For the length of a comprehension or a lambda."""
        self._waiting.append((until, scope, name, self.own(scope, name)))
        self.bind(scope, name, bound)

    def add(self, scope: str, name: str, nodes: tuple[ast.expr, ...]) -> bool:
        """More of what it is made of. False when the function does not know it."""
        known = self.find(scope, name)
        if known is None:
            return False
        known.nodes = (*known.nodes, *nodes)
        return True

    def start(self, scope: str) -> None:
        self._names[scope] = {}

    def arrive(self, place: Place) -> None:
        """The walk is at this place: what waited for it is bound."""
        while self._waiting and self._waiting[-1][0] <= place:
            _, scope, name, bound = self._waiting.pop()
            self.bind(scope, name, bound)


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def end(node: ast.AST) -> Place:
    return getattr(node, "end_lineno", 0) or 0, getattr(node, "end_col_offset", 0) or 0
