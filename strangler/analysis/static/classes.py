"""Which model a class is about: a model itself, a manager, an admin, a view, a serializer, a filter, a form, a factory."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from strangler.analysis.static.scopes import words
from strangler.analysis.static.source import Project, Source
from strangler.domain.coupling.atlas import PLATFORM

MODEL_NAMES = ("model", "queryset", "model_class")
QUERYING = re.compile(r"(?:Query[Ss]et|Manager|QS)$")
OF_REQUESTS = words("auth body content_type data files method path scheme session stream user version")
"""What a request has by itself, of Django or of the REST framework."""
ASSIGNMENTS = (ast.Assign, ast.AnnAssign)


class Classes:
    """The models of a project by their classes, by what these are made of, and by the classes of their managers and querysets."""

    def __init__(self, project: Project) -> None:
        self._project, self._models = project, project.classes
        self.managers: dict[str, tuple[str, ...]] = {}
        self.bases: dict[str, tuple[str, ...]] = {}
        for label, model in project.models.items():
            for one in model.querying:
                self.managers[one] = (*self.managers.get(one, ()), label)
            parents = {each.owner for each in model.fields.values()} | {model.proxy_for}
            from_parents = {one for parent in parents if parent in project.models for one in project.models[parent].bases}
            for one in (each for each in model.bases if each not in from_parents):  # its columns are in the parent's table
                self.bases[one] = (*self.bases.get(one, ()), label)

    @cached_property
    def on_requests(self) -> dict[str, str]:
        """``request.event``, that a middleware has put there: the project's one model that is spelt so."""
        atlas, found = self._project.atlas, dict[str, list[str]]()
        for label in self._project.models:
            if atlas.of_model(label) != PLATFORM:
                found.setdefault(spelt(label), []).append(label)
        return {name: labels[0] for name, labels in found.items() if len(labels) == 1 and name not in OF_REQUESTS}

    def model(self, dotted: str) -> str:
        """The label of a class."""
        return self._models.get(dotted, "")

    def made_of(self, dotted: str) -> tuple[str, ...]:
        """The label of a class, or of each model that is made of an abstract one or a mixin."""
        label = self.model(dotted)
        return (label,) if label else self.bases.get(dotted, ())


def spelt(label: str) -> str:
    """As a variable: ``orders.OrderLine`` → ``order_line``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", label.partition(".")[2]).lower()


def managers_of(source: Source, classes: Classes) -> Mapping[str, tuple[str, ...]]:
    """Manager and queryset classes → the module's models that have one: ``X()``, ``X.as_manager()``, ``….from_queryset(X)()``."""
    found: dict[str, tuple[str, ...]] = {}
    for node in source.tree.body:
        label = classes.model(f"{source.module}.{node.name}") if isinstance(node, ast.ClassDef) else ""
        for assigned in node.body if label and isinstance(node, ast.ClassDef) else ():
            if isinstance(assigned, ASSIGNMENTS) and isinstance(assigned.value, ast.Call):
                for name in _names(assigned.value):
                    found[name] = tuple(dict.fromkeys((*found.get(name, ()), label)))
    return found


def _names(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            yield one.id


class Registered:
    """The classes that an admin site is told of: by ``register(Order, OrderAdmin)``, wherever in the module it stands."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree

    @cached_property
    def models(self) -> dict[str, ast.expr]:
        found: dict[str, ast.expr] = {}
        for node in self._tree.body:
            call = node.value if isinstance(node, ast.Expr) else None
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "register":
                given = [*call.args, *(each.value for each in call.keywords)]
                if len(given) > 1 and isinstance(given[1], ast.Name):
                    found[given[1].id] = given[0]
        return found


def of_decorator(node: ast.ClassDef) -> Iterator[ast.expr]:
    """``@admin.register(Order)``"""
    for each in node.decorator_list:
        if isinstance(each, ast.Call) and getattr(each.func, "attr", getattr(each.func, "id", "")) == "register":
            yield from each.args


def said(node: ast.ClassDef) -> Iterator[ast.expr]:
    """What a class says of its model, the plainest first: ``model``, ``Meta.model``, ``queryset``, a base's ``[Order]``."""
    inner = [one for one in node.body if isinstance(one, ast.ClassDef) and one.name == "Meta"]
    for body in (node.body, *(one.body for one in inner)):
        for assigned in body:
            if isinstance(assigned, ASSIGNMENTS) and assigned.value is not None and _target(assigned) in MODEL_NAMES:
                yield assigned.value
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name in ("get_queryset", "get_model"):
            yield from (one.value for one in ast.walk(method) if isinstance(one, ast.Return) and one.value is not None)
    for base in node.bases:
        if isinstance(base, ast.Subscript):
            yield base.slice.elts[0] if isinstance(base.slice, ast.Tuple) and base.slice.elts else base.slice


def serializer(node: ast.ClassDef) -> str:
    """The name of the class in ``serializer_class``, ``form_class`` or ``filterset_class``."""
    for assigned in node.body:
        if isinstance(assigned, ASSIGNMENTS) and _target(assigned) in ("serializer_class", "filterset_class", "form_class"):
            return assigned.value.id if isinstance(assigned.value, ast.Name) else ""
    return ""


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return target.id if isinstance(target, ast.Name) else ""
