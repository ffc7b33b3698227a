"""Models that are named by strings: ``apps.get_model("orders", "Order")``, ``model = "orders.Order"``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar

from strangler.analysis.static.source import Finding, Project, Source
from strangler.domain.coupling.atlas import PROJECT
from strangler.domain.coupling.edges import Kind

GETTERS = ("get_model", "get_registered_model")
APPS = ("django.apps.apps", "django.apps.registry.apps")
LOOPS = (ast.For, ast.AsyncFor, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
EXPECTS = re.compile(r"(^|_)(?i:models?)($|_)|[a-z]Models?($|[A-Z])|^Models?[A-Z]")
LABEL = re.compile(rb"['\"]\w+\.\w+['\"]")  # may be one
RELATION = re.compile(r"(ForeignKey|OneToOneField|ManyToManyField|GenericRelation|ParentalKey)$")


class GetModel:
    """``apps.get_model`` and its like. The label may be held by a variable that is given a literal, or loops over literals."""

    nodes: ClassVar[tuple[type[ast.AST], ...]] = (ast.Call, ast.Assign, ast.AnnAssign, *LOOPS)
    words = (b"get_model", b"get_registered_model")

    def __init__(self, project: Project, source: Source) -> None:
        self.project, self.source = project, source
        self.strings: dict[tuple[str, str], tuple[str, ...]] = {}  # (scope, variable): what it is told to hold
        self.getters: set[str] = set()  # other names of it

    def look(self, node: ast.AST) -> Iterator[Finding]:
        if isinstance(node, ast.Call):
            if self._gets(node.func):
                yield from self._got(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    self.strings[self._scope(), target.id] = _strings(node.value)
                    if getattr(node.value, "attr", "") in GETTERS:
                        self.getters.add(target.id)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._loop(node.target, node.iter)
        else:
            for each in node.generators:  # type: ignore[attr-defined]
                self._loop(each.target, each.iter)

    def _gets(self, func: ast.expr) -> bool:
        """Whether that which is called is Django's: by its import, by another name of it, or as of what is called ``apps``."""
        if isinstance(func, ast.Name):
            stands = self.source.dotted(func)
            return func.id in self.getters or ("." in stands and stands.rpartition(".")[2] in GETTERS)
        if not isinstance(func, ast.Attribute) or func.attr not in GETTERS:
            return False
        last = getattr(func.value, "attr", "") or getattr(func.value, "id", "")
        return last.endswith("apps") or self.source.dotted(func.value) in APPS or _app_config(func) is not None

    def _got(self, node: ast.Call) -> Iterator[Finding]:
        keywords = {one.arg: one.value for one in node.keywords}
        first: ast.expr | None = node.args[0] if node.args else keywords.get("app_label")
        second = node.args[1] if len(node.args) > 1 else keywords.get("model_name")
        of_app: ast.expr | None = _app_config(node.func)
        if of_app is not None:
            first, second = of_app, first or keywords.get("model_name")
        for app in self._values(first):
            names = self._values(second) if second is not None else ("",)
            for name in names:
                yield from self._model(f"{app}.{name}" if name else app)

    def _model(self, written: str) -> Iterator[Finding]:
        """Known or not: a migration may ask for a model that is gone."""
        if written.count(".") == 1:
            label = self.project.known_labels.get(written.lower(), written)
            yield Finding(Kind.GET_MODEL, self.project.atlas.of_model(label), label)

    def _values(self, node: ast.AST | None) -> tuple[str, ...]:
        """The strings that an expression may be: a literal, a constant, or the variable of a loop over literals."""
        if isinstance(node, ast.Constant):
            return (node.value,) if isinstance(node.value, str) else ()
        if isinstance(node, ast.Name):
            for scope in (self._scope(), ""):
                if (scope, node.id) in self.strings:
                    return self.strings[scope, node.id]
        return ()

    def _loop(self, target: ast.expr, over: ast.expr) -> None:
        values = _strings(over)
        if isinstance(target, ast.Name):
            self.strings[self._scope(), target.id] = tuple(one for one in values if isinstance(one, str))
        elif isinstance(target, ast.Tuple) and isinstance(over, ast.List | ast.Tuple | ast.Set):
            for at, name in enumerate(target.elts):
                rows = [row.elts[at] for row in over.elts if isinstance(row, ast.Tuple | ast.List) and len(row.elts) > at]
                if isinstance(name, ast.Name):
                    self.strings[self._scope(), name.id] = tuple(value for row in rows for value in _strings(row))

    def _scope(self) -> str:
        return ".".join(frame.name for frame in self.source.frames)  # type: ignore[attr-defined]


class ModelLabels:
    """A string that is exactly a model's label, where a model is expected: by the name of what it is assigned or given to.

    Not that of a relation's field, which is a relation, nor of a setting.
    """

    nodes: ClassVar[tuple[type[ast.AST], ...]] = (ast.Call, ast.Assign, ast.AnnAssign, ast.Dict)
    words = LABEL

    def __init__(self, project: Project, source: Source) -> None:
        self.project, self.source = project, source

    def look(self, node: ast.AST) -> Iterator[Finding]:
        if isinstance(node, ast.Call):
            yield from self._given(node)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and _expects(str(key.value)):
                    yield from self._labels(value)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
                is_setting = name.isupper() and not self.source.frames and self.source.context == PROJECT
                if _expects(name) and not is_setting:
                    yield from self._labels(node.value)

    def _given(self, node: ast.Call) -> Iterator[Finding]:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in GETTERS or RELATION.search(name):
            return
        if _expects(name):
            for given in node.args:
                yield from self._labels(given)
        for keyword in node.keywords:
            if keyword.arg and _expects(keyword.arg):
                yield from self._labels(keyword.value)

    def _labels(self, node: ast.AST | None) -> Iterator[Finding]:
        for value, line in _literals(node):
            label = self.project.known_labels.get(value.lower(), "")
            if label and value in (label, label.lower()):
                yield Finding(Kind.GET_MODEL, self.project.atlas.of_model(label), label, line=line)


@lru_cache(4096)
def _expects(name: str) -> bool:
    return bool(EXPECTS.search(name)) and not RELATION.search(name)


def _app_config(func: ast.AST) -> ast.expr | None:
    """The argument of ``apps.get_app_config(…)`` in ``apps.get_app_config(…).get_model``."""
    call = func.value if isinstance(func, ast.Attribute) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "get_app_config" and call.args:
        return call.args[0]
    return None


def _strings(node: ast.AST | None) -> tuple[str, ...]:
    return tuple(value for value, _ in _literals(node))


def _literals(node: ast.AST | None) -> Iterator[tuple[str, int]]:
    """Strings that are written out, alone or in a list, with their lines."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value, node.lineno
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        for one in node.elts:
            yield from _literals(one)
    elif isinstance(node, ast.Dict):
        for one in node.values:
            yield from _literals(one)
