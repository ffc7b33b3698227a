"""Classes of models as they stand in the source: bases, Meta and fields. For apps whose models Django could not load."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from strangler.analysis.static.names import Exports
from strangler.analysis.static.reading import Unreadable, loaded, parsed
from strangler.analysis.static.source import Project, Source

RELATIONS = {
    "ForeignKey": "foreign_key",
    "ParentalKey": "foreign_key",
    "OneToOneField": "one_to_one",
    "ManyToManyField": "many_to_many",
}  # ends of the names of their classes; GenericForeignKey is told apart before


@dataclass(frozen=True)
class Declaration:
    """A field: ``kind`` as in ``FieldFacts``. ``target``: a label, "self", a model's name alone, or a dotted class. ``options``:
    the arguments that are written out, ``on_delete`` by its last name. ``swappable``: the setting that names the target.
    """

    name: str
    kind: str
    file: str
    line: int
    text: str
    target: str = ""
    swappable: str = ""
    options: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    """A class. ``bases``: dotted. ``meta``: what of its Meta is written out."""

    module: str
    name: str
    file: str
    line: int
    text: str
    bases: tuple[str, ...]
    fields: dict[str, Declaration]
    managers: dict[str, str]
    meta: dict[str, object]

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}"


def declared(project: Project, modules: list[str]) -> dict[str, Declared]:
    """Dotted class → what it declares: of the modules, and of those of the project's in which their bases stand."""
    exports = Exports(project.files)
    found: dict[str, Declared] = {}
    read: set[str] = set()
    waiting = list(reversed(modules))
    while waiting:
        module = waiting.pop()
        if module in read or module not in project.files:
            continue
        read.add(module)
        for one in _classes(project, module, exports):
            found[one.dotted] = one
            waiting += [base.rpartition(".")[0] for base in one.bases]
    return found


def _classes(project: Project, module: str, exports: Exports) -> Iterator[Declared]:
    path = project.files[module]
    try:
        source = parsed(project, module, project.named(path, module), loaded(path), exports)
    except Unreadable:
        return  # told by the walk, which reads every file
    stack: list[ast.stmt] = list(reversed(source.tree.body))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.ClassDef):
            yield _class(source, node, project)
        elif isinstance(node, ast.If | ast.Try):
            stack += [*node.body, *node.orelse, *getattr(node, "handlers", ())]
        elif isinstance(node, ast.ExceptHandler):
            stack += node.body


def _class(source: Source, node: ast.ClassDef, project: Project) -> Declared:
    source.frames = (node,)
    fields: dict[str, Declaration] = {}
    managers: dict[str, str] = {}
    meta: dict[str, object] = {}
    for statement in node.body:
        name, value = _assigned(statement)
        if isinstance(statement, ast.ClassDef) and statement.name == "Meta":
            meta = {key: given.value for key, given in map(_assigned, statement.body) if isinstance(given, ast.Constant)}
        elif name and isinstance(value, ast.Call):
            made = source.dotted(value.func)
            kind = _kind(made)
            if kind:
                fields[name] = _field(source, name, kind, value, project)
            elif made.endswith(("Manager", ".as_manager")):
                managers[name] = made.removesuffix(".as_manager")
    source.frames = ()
    bases = tuple(source.dotted(base.func if isinstance(base, ast.Call) else base) for base in node.bases)
    text = source.lines[node.lineno - 1].strip()
    return Declared(source.module, node.name, source.file, node.lineno, text, bases, fields, managers, meta)


def _assigned(statement: ast.stmt) -> tuple[str, ast.expr | None]:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    return (target.id, getattr(statement, "value", None)) if isinstance(target, ast.Name) else ("", None)


def _kind(made: str) -> str:
    """Of the field that a call of this class makes; empty when it makes none."""
    name = made.rpartition(".")[2]
    if name.endswith(("GenericForeignKey", "GenericRelation")):
        return "generic"
    for end, kind in RELATIONS.items():
        if name.endswith(end):
            return kind
    return "column" if name.endswith("Field") and not made.startswith(("django.forms", "rest_framework", "dataclasses")) else ""


def _field(source: Source, name: str, kind: str, call: ast.Call, project: Project) -> Declaration:
    given = {one.arg: one.value for one in call.keywords if one.arg}
    if kind != "column":
        given |= dict(zip(("to", "on_delete") if kind in ("foreign_key", "one_to_one") else ("to",), call.args, strict=False))
    target, swappable = _target(source, given.get("to"), project)
    options: dict[str, object] = {}
    for option, value in given.items():
        options[option] = value.value if isinstance(value, ast.Constant) else source.dotted(value)
    options["on_delete"] = str(options.get("on_delete") or "").rpartition(".")[2]
    text = source.lines[call.lineno - 1].strip()
    return Declaration(name, kind, source.file, call.lineno, text, target, swappable, options)


def _target(source: Source, node: ast.expr | None, project: Project) -> tuple[str, str]:
    """What a relation points to, and the setting through which it does so."""
    if isinstance(node, ast.Constant):
        return str(node.value), ""
    if node is None:
        return "", ""
    name = source.dotted(node.func if isinstance(node, ast.Call) else node)
    setting = ""
    if isinstance(node, ast.Call):
        setting = "AUTH_USER_MODEL" if name.endswith("get_user_model") else ""
    elif name.startswith("django.conf.settings."):
        setting = name.rpartition(".")[2]
    if setting:
        return next((value for value in project.settings.get(setting, ()) if "." in value), ""), setting
    return name, ""
