"""Statements that give a name its meaning: assignments, loops, parameters, comprehensions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from strangler.analysis.static.classes import spelt
from strangler.analysis.static.querysets import Flow
from strangler.analysis.static.scopes import Bound, Place, Value, end

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
GIVEN = {"obj": "one", "instance": "one", "object": "one", "queryset": "set", "qs": "set"}
FEEDING = frozenset(("sorted", "map", "filter", "min", "max"))  # they call a function with each element
GROWING = frozenset(("append", "add", "extend", "update", "insert", "setdefault"))


class Bindings:
    """Tells a flow of what the walk has come to."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.named = dict(_named(flow))
        self.fed: dict[int, Value | None] = {}  # lambdas → the row that each call gets

    def enter(self, node: ast.AST) -> None:
        bind = STATEMENTS.get(type(node))
        if bind is not None:
            bind(self, node)

    def foresee(self, node: ast.Assign | ast.AnnAssign) -> None:
        """Functions may use what the module defines below them."""
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and node.value is not None:
            self.flow.scopes.bind("", target.id, Bound(self.flow.anew(node.value), (node.value,)))

    def _assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind(target, node.value, end(node))

    def _annotated(self, node: ast.AnnAssign) -> None:
        value = self.flow.annotated(node.annotation) or self.flow.value(node.value)
        nodes = (node.value,) if node.value is not None else ()
        self._set(node.target, Bound(value, nodes), end(node))

    def _augmented(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            known = self.flow.scopes.find(self.flow.scope, node.target.id) or Bound()
            self._set(node.target, Bound(known.value, (*known.nodes, node.value)), end(node))

    def _walrus(self, node: ast.NamedExpr) -> None:
        self._set(node.target, Bound(self.flow.value(node.value), (node.value,)), end(node))

    def _loop(self, node: ast.For | ast.AsyncFor) -> None:
        self._iterate(node.target, node.iter, lambda name, bound: self._put(name, bound, end(node.iter)))

    def _comprehension(self, node: Comprehension) -> None:
        scope = self.flow.scope
        for generator in node.generators:
            self._iterate(
                generator.target, generator.iter, lambda name, bound: self.flow.scopes.borrow(scope, name, bound, end(node))
            )

    def _lambda(self, node: ast.Lambda) -> None:
        row = self.fed.get(id(node))
        for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            self.flow.scopes.borrow(self.flow.scope, arg.arg, Bound(row), end(node))

    def _function(self, node: Function) -> None:
        flow, outer = self.flow, self.flow.scope
        scope = f"{outer}.{node.name}" if outer else node.name
        flow.scopes.start(scope)
        around = flow.holders.get(outer)
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        decorators = {flow.source.dotted(each) for each in node.decorator_list}
        if outer in flow.holders and given and "staticmethod" not in decorators:
            first, *given = given
            value = Value("class", around.labels) if around and around.shape == "one" and "classmethod" in decorators else around
            flow.scopes.bind(scope, first.arg, Bound(value))
        heard = self._heard(node)
        for arg in given:
            value = flow.annotated(arg.annotation)
            if value is None and around is not None and around.shape == "holder" and around.labels and arg.arg in GIVEN:
                value = Value(GIVEN[arg.arg], around.labels)
            if value is None and arg.annotation is None and arg.arg in self.named:
                value = Value("one", (self.named[arg.arg],))
            if value is None and heard and arg.arg in ("instance", "sender"):
                value = Value("one" if arg.arg == "instance" else "class", (heard,))
            flow.scopes.bind(scope, arg.arg, Bound(value))
        for rest in (node.args.vararg, node.args.kwarg):
            if rest is not None:
                flow.scopes.bind(scope, rest.arg, Bound())

    def _heard(self, node: Function) -> str:
        """The label of the model in ``@receiver(post_save, sender=Order)``."""
        for each in node.decorator_list:
            for keyword in each.keywords if isinstance(each, ast.Call) else ():
                if keyword.arg == "sender":
                    return self.flow.label(keyword.value) or self.flow.labelled(keyword.value)
        return ""

    def _called(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in FEEDING:
            given = [*node.args, *(each.value for each in node.keywords)]
            row = next((found for one in given if (found := self.flow.row(one)) is not None), None)
            self.fed |= {id(one): row for one in given if isinstance(one, ast.Lambda)}
        else:
            self._grow(node)

    def _grow(self, node: ast.Call) -> None:
        """``asked.update(customer__email=…)``, ``conditions.append(Q(…))``"""
        if isinstance(node.func, ast.Attribute) and node.func.attr in GROWING and isinstance(node.func.value, ast.Name):
            names = tuple(ast.copy_location(ast.Constant(each.arg), each.value) for each in node.keywords if each.arg)
            self.flow.scopes.add(self.flow.scope, node.func.value.id, (*node.args, *names))

    # ---- targets --------------------------------------------------------------------------------------------------------

    def _bind(self, target: ast.expr, value: ast.expr, behind: Place) -> None:
        flow = self.flow
        if isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target.elts, value, behind)
        elif isinstance(target, ast.Subscript):
            if isinstance(target.value, ast.Name) and isinstance(target.slice, ast.Constant):
                flow.scopes.add(flow.scope, target.value.id, (target.slice,))
        else:
            self._set(target, Bound(self._valued(target, value), (*self._before(target, value), value)), behind)

    def _before(self, target: ast.expr, value: ast.expr) -> tuple[ast.expr, ...]:
        """What the name was made of, where it is part of what it becomes: ``asked = asked | Q(…)``."""
        if not isinstance(target, ast.Name) or not isinstance(value, (ast.BinOp, ast.Call)):
            return ()
        known = self.flow.scopes.find(self.flow.scope, target.id)
        if known is None or not known.nodes:
            return ()
        return known.nodes if any(isinstance(one, ast.Name) and one.id == target.id for one in ast.walk(value)) else ()

    def _valued(self, target: ast.expr, value: ast.expr) -> Value | None:
        """A function that is given what the name stood for, and says nothing, gives more of the same: ``found = page(found)``."""
        found = self.flow.value(value)
        if found is not None or not isinstance(target, ast.Name) or not isinstance(value, ast.Call):
            return found
        given = any(isinstance(arg, ast.Name) and arg.id == target.id for arg in value.args)
        known = self.flow.scopes.find(self.flow.scope, target.id) if given else None
        return known.value if known is not None and known.value and known.value.shape == "set" else None

    def _unpack(self, targets: list[ast.expr], value: ast.expr, behind: Place) -> None:
        if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(targets):
            for target, each in zip(targets, value.elts, strict=True):
                self._bind(target, each, behind)
            return
        found = self.flow.value(value)
        each_by_each = self._one_by_one(value, len(targets))
        for place, target in enumerate(targets):
            own = each_by_each[place] if each_by_each else None
            if found is not None and found.shape == "pair" and place == 0:
                own = Value("one", found.labels)
            self._set(target, Bound(own), behind)

    def _one_by_one(self, value: ast.expr, count: int) -> list[Value | None]:
        """``order, line = (apps.get_model(label) for label in ("orders.Order", "orders.OrderLine"))``, and with ``map``."""
        if not isinstance(value, (ast.GeneratorExp, ast.ListComp)) or len(value.generators) != 1:
            return []
        generator, scope = value.generators[0], self.flow.scope
        literal = generator.iter
        if (
            not isinstance(literal, (ast.Tuple, ast.List))
            or len(literal.elts) != count
            or not isinstance(generator.target, ast.Name)
        ):
            return []
        name, found = generator.target.id, []
        before = self.flow.scopes.own(scope, name)
        for each in literal.elts:
            self.flow.scopes.bind(scope, name, Bound(self.flow.value(each), (each,)))
            found.append(self.flow.anew(value.elt))
        self.flow.scopes.bind(scope, name, before)
        return found

    def _iterate(self, target: ast.expr, iterated: ast.expr, put: Callable[[str, Bound], None]) -> None:
        row = self.flow.row(iterated)
        nodes = tuple(iterated.elts) if isinstance(iterated, (ast.Tuple, ast.List)) else ()
        if isinstance(target, ast.Name):
            put(target.id, Bound(row, nodes))
        elif isinstance(target, (ast.Tuple, ast.List)):
            counted = isinstance(iterated, ast.Call) and self.flow.source.dotted(iterated.func) == "enumerate" and iterated.args
            for place, each in enumerate(target.elts):
                row = self.flow.row(iterated.args[0]) if counted and place == 1 and isinstance(iterated, ast.Call) else None
                if isinstance(each, ast.Name):
                    put(each.id, Bound(row))

    def _set(self, target: ast.expr, bound: Bound, behind: Place) -> None:
        if isinstance(target, ast.Name):
            self._put(target.id, bound, behind)
        elif isinstance(target, ast.Starred):
            self._set(target.value, Bound(), behind)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
            self.flow.attributes[self.flow.holder()[0], target.attr] = bound

    def _put(self, name: str, bound: Bound, behind: Place) -> None:
        scope = self.flow.scope
        if scope in self.flow.scopes.classes:
            self.flow.attributes[scope, name] = bound
        self.flow.scopes.bind(scope, name, bound, behind)


def _named(flow: Flow) -> Iterator[tuple[str, str]]:
    """The models that the module names, as a parameter of that name would be spelt: ``order_line`` → label of ``OrderLine``."""
    for dotted in sorted(flow.source.names.values()):
        label = flow.classes.model(dotted)
        if label:
            yield spelt(label), label


STATEMENTS: dict[type, Callable[..., None]] = {
    ast.Assign: Bindings._assign,
    ast.AnnAssign: Bindings._annotated,
    ast.AugAssign: Bindings._augmented,
    ast.NamedExpr: Bindings._walrus,
    ast.For: Bindings._loop,
    ast.AsyncFor: Bindings._loop,
    ast.ListComp: Bindings._comprehension,
    ast.SetComp: Bindings._comprehension,
    ast.DictComp: Bindings._comprehension,
    ast.GeneratorExp: Bindings._comprehension,
    ast.Lambda: Bindings._lambda,
    ast.FunctionDef: Bindings._function,
    ast.AsyncFunctionDef: Bindings._function,
    ast.Call: Bindings._called,
}
