"""Where code follows relations to other contexts: lookups, select_related, prefetch_related, reverse accessors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from strangler.analysis.static import accessors, declarations, fetching, lookups
from strangler.analysis.static.bindings import STATEMENTS, Bindings
from strangler.analysis.static.classes import Classes, Registered, managers_of
from strangler.analysis.static.lookups import Asked, Lookups
from strangler.analysis.static.paths import Crossings, Path
from strangler.analysis.static.querysets import SHORTCUTS, Flow
from strangler.analysis.static.source import Finding, Project, Source
from strangler.domain.coupling.edges import Kind

NOTHING: Iterator[Finding] = iter(())
STARTER = re.compile(rf"\b(?:{'|'.join(sorted(lookups.STARTERS))})\b")
CALLED = lookups.METHODS | set(fetching.METHODS)
_ground: tuple[Project, Crossings, Classes] | None = None


def ground(project: Project) -> tuple[Crossings, Classes]:
    """What is worked out once a project."""
    global _ground
    if _ground is None or _ground[0] is not project:
        _ground = project, Crossings(project), Classes(project)
    return _ground[1:]


class Queries:
    """Looks at nothing in a module that has no word which leads to another context."""

    nodes: ClassVar[tuple[type[ast.AST], ...]] = (*STATEMENTS, ast.ClassDef, ast.Attribute, ast.Return)

    def __init__(self, project: Project, source: Source) -> None:
        self.crossings, classes = ground(project)
        leading = self.crossings.names(source.context)
        self.leading = leading.all
        text = "\n".join(source.lines)
        if not leading.in_text(text):
            self.nodes = ()  # type: ignore[misc]  # so the walk shows it none
            return
        self.source = source
        self.flow = Flow(project, source, self.crossings.paths, classes)
        self.bindings = Bindings(self.flow)
        self.lookups = Lookups(self.flow)
        self.registered = Registered(source.tree)
        self.local = managers_of(source, classes)
        self.held: dict[int, ast.Call] = {}  # Q and F that a name stands for, until it is known what it is used for
        self.may_hold = STARTER.search(text) is not None
        for node in source.tree.body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)):
                self.bindings.foresee(node)

    def look(self, node: ast.AST) -> Iterator[Finding]:
        if type(node) is ast.Attribute and node.attr not in self.leading:
            return NOTHING if node.attr != "related_model" else self._by_registry(node)
        return self._look(node)

    def _look(self, node: ast.AST) -> Iterator[Finding]:
        self.flow.arrive(node)
        if isinstance(node, ast.Call):
            yield from self._call(node)
        elif isinstance(node, ast.Attribute):
            yield from self._accessors(node)
        elif isinstance(node, ast.ClassDef):
            self.flow.open_class(node, self.local, self.registered)
        elif isinstance(node, ast.Return):
            yield from self._return(node)
        self.bindings.enter(node)
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            yield from self._assign(node)

    # ---- calls ----------------------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Iterator[Finding]:
        func = node.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if name in CALLED:
            yield from self._asked(node, func, name)
        elif name in lookups.STARTERS and id(node) not in self.lookups.consumed:
            yield from self._free(node)
        elif name in accessors.BY_NAME:
            yield from self._accessors(node)
        elif name.endswith(("Field", "Filter")) and node.keywords:
            yield from self._sourced(node)

    def _asked(self, node: ast.Call, func: ast.expr, name: str) -> Iterator[Finding]:
        args = node.args
        labels: tuple[str, ...] = ()
        if name in SHORTCUTS or name.endswith("prefetch_related_objects"):
            found = self.flow.value(args[0]) if args else None
            args, labels = args[1:], found.labels if found is not None else ()
        elif isinstance(func, ast.Attribute):
            found = self.flow.value(func.value)
            labels = found.labels if found is not None and found.shape in ("set", "rows") else ()
        if not labels:
            return
        kind = fetching.METHODS.get(name)
        if kind is not None:
            yield from self._fetched(kind, fetching.fetched(self.flow, labels, args))
        else:
            yield from self._joined(self.lookups.of_call(node, name, labels, args))

    def _joined(self, asked: Iterable[Asked]) -> Iterator[Finding]:
        for labels, text, node in asked:
            for label in labels:
                path = self.crossings.paths.joined(label, text.lstrip("-"))
                for context, models in self.crossings.reached(path.models).items():
                    yield Finding(Kind.LOOKUP, context, path.text, line=getattr(node, "lineno", 0), models=models)

    def _fetched(self, kind: Kind, asked: Iterable[Asked]) -> Iterator[Finding]:
        for labels, text, node in asked:
            for label in labels:
                path = self.crossings.paths.fetched(label, text)
                for context, models in self.crossings.reached(path.models).items():
                    yield Finding(kind, context, path.text, line=getattr(node, "lineno", 0), models=models)

    def _sourced(self, node: ast.Call) -> Iterator[Finding]:
        around = self.flow.holders.get(self.flow.holder()[0])
        if around is None or not around.labels or around.shape != "holder":
            return
        for asked, separator in declarations.sourced(self.flow, node, around.labels):
            if separator == "__":
                yield from self._joined([asked])
                continue
            for label in asked.labels:
                path = self.crossings.paths.fetched(label, asked.text, separator)
                for context, models in self.crossings.reached(path.models).items():
                    yield Finding(Kind.LOOKUP, context, asked.text, line=getattr(asked.node, "lineno", 0), models=models)

    # ---- Q and F without a queryset -------------------------------------------------------------------------------------

    def _free(self, node: ast.Call) -> Iterator[Finding]:
        """By the models that the module names, or else the context has; only where all that fit lead to the same context."""
        if id(node) in self.held or not self.source.dotted(node.func).startswith("django."):
            return
        for asked in list(self.lookups.expression(node, ("",))):
            fitting = self._fitting(asked.text)
            if len({tuple(self.crossings.contexts(path.models)) for path in fitting}) == 1:
                reached = self.crossings.reached(label for path in fitting for label in path.models)
                for context, models in reached.items():
                    yield Finding(Kind.LOOKUP, context, fitting[0].text, line=getattr(asked.node, "lineno", 0), models=models)

    def _fitting(self, text: str) -> list[Path]:
        paths, name = self.crossings.paths, text.lstrip("-")
        for labels in (self._named, self._of_context):
            found = [path for label in labels if (path := paths.joined(label, name)).models]
            if found:
                longest = max(path.text.count("__") for path in found)
                return [path for path in found if path.text.count("__") == longest]
        return []

    @property
    def _named(self) -> list[str]:
        classes = {label for dotted in self.source.names.values() if (label := self.flow.classes.model(dotted))}
        return sorted(classes)

    @property
    def _of_context(self) -> list[str]:
        return sorted(label for label in self.crossings.paths.models if self.crossings.contexts([label]) == [self.source.context])

    def _hold(self, value: ast.expr) -> None:
        for one in ast.walk(value):
            if isinstance(one, ast.Call) and getattr(one.func, "attr", getattr(one.func, "id", "")) in lookups.STARTERS:
                self.held[id(one)] = one

    def _return(self, node: ast.Return) -> Iterator[Finding]:
        """A method that gives what an attribute would, and a function that gives a condition which it has put together."""
        holder, inner = self.flow.holder()
        around = self.flow.holders.get(holder)
        if node.value is not None and inner in declarations.METHODS and around is not None and around.shape == "holder":
            yield from self._declared(node.value, declarations.METHODS[inner], around.labels)
        if isinstance(node.value, ast.Name):
            bound = self.flow.scopes.find(self.flow.scope, node.value.id)
            for made in bound.nodes if bound is not None else ():
                for one in ast.walk(made):
                    if id(one) in self.held and id(one) not in self.lookups.consumed:
                        yield from self._free(self.held.pop(id(one)))

    # ---- declarations, accessors ----------------------------------------------------------------------------------------

    def _assign(self, node: ast.Assign | ast.AnnAssign) -> Iterator[Finding]:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if node.value is None:
            return
        holder, inner = self.flow.holder()
        if holder and not inner and isinstance(target, ast.Name):
            around = self.flow.holders.get(holder)
            if around is not None and around.labels:
                yield from self._declared(node.value, target.id, around.labels)
        elif self.flow.scope and self.may_hold:
            self._hold(node.value)

    def _declared(self, value: ast.expr, name: str, labels: tuple[str, ...]) -> Iterator[Finding]:
        if name in declarations.LOOKUPS:
            yield from self._joined(declarations.declared(self.flow, value, labels, self.lookups))
        elif name in fetching.DECLARED:
            yield from self._fetched(fetching.DECLARED[name], fetching.fetched(self.flow, labels, [value]))

    def _accessors(self, node: ast.AST) -> Iterator[Finding]:
        for one in accessors.used(self.flow, node):
            reached = self.crossings.reached((one.related, one.through))
            for context in self.crossings.contexts([one.related]):
                yield Finding(Kind.REVERSE_ACCESSOR, context, one.what, models=reached[context])

    def _by_registry(self, node: ast.Attribute) -> Iterator[Finding]:
        """``Customer.favourites.field.related_model``: another context's model, which no import names."""
        found = self.flow.value(node)
        if found is not None and found.shape == "class":
            for context, models in self.crossings.reached(found.labels).items():
                yield Finding(Kind.LOOKUP, context, found.text, models=models)
