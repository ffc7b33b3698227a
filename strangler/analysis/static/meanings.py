"""What an expression stands for, as far as the module itself says: texts, models, dotted names.

A name that is bound once or more in sight of the walk stands for all that it is bound to: also the name of a loop over a tuple.
What comes as an argument, or is made at run time, stands for nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property
from itertools import islice

from strangler.analysis.static.definitions import Definition, definition, derives, followed, keyword_text, last_name, table
from strangler.analysis.static.source import Project, Source

USER_MODEL = "AUTH_USER_MODEL"
MOST = 500  # names that are bound to each other again and again stand for more than anybody reads
SETTINGS = "django.conf.settings"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.ClassDef)
BLOCKS = ("body", "orelse", "finalbody")
Sequence = (ast.Tuple, ast.List, ast.Set)


class Meanings:
    """Of one module; as the walk goes, ``source.scope`` says which names are in sight."""

    def __init__(self, project: Project, source: Source) -> None:
        self.project, self.source = project, source
        self._bound: dict[ast.AST, dict[str, list[ast.expr]]] = {}

    # ---- texts ------------------------------------------------------------------------------------------------------

    def texts(self, node: ast.expr | None) -> list[str]:
        """Literal strings, one by one where it is a tuple, a list, or a choice between two."""
        return [each.value for each in self.alternatives(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]

    def alternatives(self, node: ast.expr | None) -> Iterator[ast.expr]:
        """The node itself, what a name is bound to, both sides of ``a if b else c`` and of ``a or b``, each of a tuple."""
        return islice(self._alternatives(node, frozenset()), MOST)

    def _alternatives(self, node: ast.expr | None, seen: frozenset[str]) -> Iterator[ast.expr]:
        parts: list[ast.expr] = []
        if isinstance(node, Sequence):
            parts = node.elts
        elif isinstance(node, ast.IfExp):
            parts = [node.body, node.orelse]
        elif isinstance(node, ast.BoolOp):
            parts = node.values
        elif isinstance(node, ast.Name) and node.id not in seen:
            parts, seen = self.bound(node.id), seen | {node.id}
        for each in parts:
            yield from self._alternatives(each, seen)
        if node is not None and not parts:
            yield node

    def bound(self, name: str) -> list[ast.expr]:
        """All that it is bound to in the innermost scope that binds it."""
        return self._binding(name)[1]

    def _binding(self, name: str) -> tuple[ast.AST, list[ast.expr]]:
        """The scope that binds the name, and to what; the module where none does."""
        for scope in self._scopes():
            found = self._of(scope).get(name)
            if found is not None:
                return scope, found
        return self.source.tree, self._of(self.source.tree).get(name, [])

    def _scopes(self) -> Iterator[ast.AST]:
        """The functions around, the innermost first, and a class if the walk is in its body: methods don't see its names."""
        for number, frame in enumerate(reversed(self.source.frames)):
            if number == 0 or not isinstance(frame, ast.ClassDef):
                yield frame

    def _of(self, scope: ast.AST) -> dict[str, list[ast.expr]]:
        known = self._bound.get(scope)
        if known is None:
            outer = None if scope is self.source.tree else self._of(self.source.tree)
            known = self._bound[scope] = _given(scope)
            for node in _statements(scope):
                _bind(node, known, outer)
        return known

    # ---- models -----------------------------------------------------------------------------------------------------

    def labels(self, node: ast.expr | None) -> list[str]:
        """Of the models that it stands for: a class, ``apps.get_model(…)``, ``get_user_model()``, "orders.Order"."""
        return list(dict.fromkeys(label for each in self.alternatives(node) if (label := self._label(each))))

    def label(self, text: str) -> str:
        """``orders.order`` → ``orders.Order``; empty for what is no model's."""
        return self.project.known_labels.get(text.lower(), "")

    def _label(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return self.label(node.value) if isinstance(node.value, str) else ""
        if isinstance(node, ast.Call):
            return self._called(node)
        dotted = self.dotted(node)
        if dotted.startswith(f"{SETTINGS}."):
            return self.of_setting(dotted.removeprefix(f"{SETTINGS}."))
        if isinstance(node, ast.Attribute) and node.attr == "through":
            return self._through(node)
        return self.of_class(dotted) if dotted else ""

    def _called(self, node: ast.Call) -> str:
        name = last_name(node.func)
        if name == "get_user_model":
            return self.user_model
        if name not in ("get_model", "get_registered_model"):
            return ""
        given = [text for each in node.args for text in self.texts(each)[:1]]
        app = keyword_text(node, "app_label")
        model = keyword_text(node, "model_name")
        inner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if isinstance(inner, ast.Call) and last_name(inner.func) == "get_app_config":
            given = [text for each in inner.args for text in self.texts(each)[:1]] + given
        return self.label(".".join(filter(None, (app, *given, model))))

    def _through(self, node: ast.Attribute) -> str:
        """``Order.tags.through``: the automatic model by its name; an explicit one is known by the relation alone."""
        if not isinstance(node.value, ast.Attribute):
            return ""
        owner = next(iter(self.labels(node.value.value)), "")
        return self.label(f"{owner}_{node.value.attr}") or owner

    def of_class(self, dotted: str) -> str:
        """The label of the model whose class it is, also by a name that a package re-exports."""
        known = self.project.classes.get(dotted)
        if known is None and (made := self.made(dotted)) is not None:
            known = self.project.classes.get(made.what if made.kind == "import" else made.dotted)
        return known or ""

    @property
    def user_model(self) -> str:
        """Empty when it is not the project's."""
        return self.of_setting(USER_MODEL)

    def of_setting(self, name: str) -> str:
        """The label of the model that it names."""
        return next((label for text in self.project.settings.get(name, ()) if (label := self.label(text))), "")

    # ---- names ------------------------------------------------------------------------------------------------------

    def dotted(self, node: ast.expr) -> str:
        """Of what is imported, or made by the module itself; empty for what a function is given, or makes."""
        first = node
        while isinstance(first, ast.Attribute):
            first = first.value
        if not isinstance(first, ast.Name):
            return ""
        scope, bound = self._binding(first.id)
        dotted = self.source.dotted(node)
        if scope is not self.source.tree:
            return dotted if dotted != ast.unparse(node) else ""  # ``cancel = services.cancel`` is another name of it
        return f"{self.source.module}.{dotted}" if bound and first.id not in self.source.names else dotted

    def place(self, node: ast.expr | None) -> str:
        """The qualname of a function of this module: by its name, as ``self.hear`` of the class around; empty for any other."""
        frames = self.source.frames
        method = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        name = last_name(node) if method or isinstance(node, ast.Name) else ""  # type: ignore[arg-type]
        for depth in range(len(frames), -1, -1) if name else ():
            scope = frames[depth - 1] if depth else self.source.tree
            wanted = isinstance(scope, ast.ClassDef) if method else depth == len(frames) or not isinstance(scope, ast.ClassDef)
            if wanted and any(isinstance(each, FUNCTIONS) and each.name == name for each in _statements(scope)):
                return ".".join([*(frame.name for frame in frames[:depth]), name])  # type: ignore[attr-defined]
        return ""

    def definition(self, node: ast.expr) -> Definition | None:
        dotted = self.dotted(node)
        return self.made(dotted) if dotted else None

    def made(self, dotted: str) -> Definition | None:
        module, _, name = dotted.rpartition(".")
        if module == self.source.module:
            return followed(self.project, self._own.get(name))
        return definition(self.project, dotted)

    def derives(self, dotted: str, *names: str) -> bool:
        """Whether a class is one of a package, whose name ends so, or comes from one."""
        return derives(dotted, names, self.made)

    def is_instance(self, node: ast.expr, *names: str) -> bool:
        """Whether it is made, at the level of a module, of such a class."""
        made = self.definition(node)
        return made is not None and made.kind == "instance" and self.derives(made.what, *names)

    @cached_property
    def _own(self) -> dict[str, Definition]:
        return table(self.source.module, self.source.tree, is_package=self.source.file.endswith("__init__.py"))


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == name), None)


def argument(call: ast.Call, name: str, position: int) -> ast.expr | None:
    """By its keyword, or else by where it stands."""
    named = keyword(call, name)
    if named is not None:
        return named
    before = call.args[: position + 1]
    if len(before) <= position or any(isinstance(each, ast.Starred) for each in before):
        return None
    return call.args[position]


def _statements(scope: ast.AST) -> Iterator[ast.stmt]:
    """Those of the scope itself, with those in its blocks; of functions and classes in it, the definition alone."""
    stack: list[ast.stmt] = list(reversed(scope.body))  # type: ignore[attr-defined]
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, SCOPES):
            for handler in getattr(node, "handlers", ()):
                stack.extend(handler.body)
            for block in BLOCKS:
                stack.extend(getattr(node, block, None) or ())


def _given(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Of a function: what it is given hides what the module calls so."""
    given = getattr(scope, "args", None)
    every = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg) if given is not None else ()
    return {each.arg: [UNKNOWN] for each in every if each is not None}


def _bind(node: ast.stmt, found: dict[str, list[ast.expr]], outer: dict[str, list[ast.expr]] | None) -> None:
    if isinstance(node, SCOPES):
        if outer is not None:  # those of the module are known by their dotted names
            found[node.name] = [UNKNOWN]
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            _target(target, node.value, found)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        _target(node.target, node.value, found)
    elif isinstance(node, ast.For):
        over = (
            found.get(node.iter.id) or (outer or {}).get(node.iter.id) or [] if isinstance(node.iter, ast.Name) else [node.iter]
        )
        for each in (element for value in over if isinstance(value, Sequence) for element in value.elts):
            _target(node.target, each, found)


def _target(target: ast.expr, value: ast.expr, found: dict[str, list[ast.expr]]) -> None:
    if isinstance(target, ast.Name):
        found.setdefault(target.id, []).append(value)
    elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        for one, its in zip(target.elts, value.elts, strict=False):
            _target(one, its, found)


UNKNOWN = ast.Constant(value=None)
