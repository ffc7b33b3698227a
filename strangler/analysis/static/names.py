"""What names stand for: those that a scope binds, and those that one module takes from another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
STAR = "*"
DEFINED = re.compile(rb"^(?:class|def|async\s+def)\s+(\w+)|^(\w+)\s*[:=]", re.MULTILINE)
UNPARSED = (SyntaxError, ValueError, OSError, RecursionError, MemoryError)


def package(module: str, file: str) -> str:
    return module if file.endswith("__init__.py") else module.rpartition(".")[0]


def absolute(package: str, name: str, level: int) -> str:
    """``from ..models import x`` in ``shop.orders.api`` → ``shop.models``."""
    if not level:
        return name
    parts = package.split(".")
    base = parts[: max(len(parts) - (level - 1), 0)]
    return ".".join([*base, name] if name else base)


def module_names(module: str, file: str, tree: ast.Module) -> dict[str, str]:
    """What each name at module level stands for, dotted. Of a name that is bound twice the definition stands, then the import.

    ``*`` stands for the modules of which everything is imported, separated by blanks.
    """
    names: dict[str, str] = {}
    defined: dict[str, str] = {}
    for node in _statements(tree):
        if isinstance(node, DEFINITIONS):
            defined[node.name] = f"{module}.{node.name}"
        else:
            _bind(node, package(module, file), names)
    return {name: stands for name, stands in names.items() if stands} | defined


def bound(scope: ast.AST, package: str) -> dict[str, str]:
    """What the names of a function or class stand for; empty for a variable. Those that are ``global`` are not its own."""
    names: dict[str, str] = {}
    outer: set[str] = set()
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        given = scope.args
        for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
            if one is not None:
                names[one.arg] = ""
    for node in _statements(scope):
        if isinstance(node, ast.Global | ast.Nonlocal):
            outer.update(node.names)
        elif isinstance(node, DEFINITIONS):
            names[node.name] = ""
        else:
            _bind(node, package, names)
    return {name: stands for name, stands in names.items() if name not in outer and name != STAR}


def _statements(scope: ast.AST) -> Iterator[ast.AST]:
    """Of the scope itself, in order, with those in blocks, and without those of definitions in it."""
    stack = list(reversed(scope.body))  # type: ignore[attr-defined]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, DEFINITIONS):
            continue
        for block in reversed(BLOCKS):
            stack.extend(reversed(getattr(node, block, None) or ()))


def _bind(node: ast.AST, package: str, names: dict[str, str]) -> None:
    if isinstance(node, ast.Import):
        for one in node.names:
            first = one.name.partition(".")[0]
            names[one.asname or first] = one.name if one.asname else first
    elif isinstance(node, ast.ImportFrom):
        origin = absolute(package, node.module or "", node.level)
        for one in node.names:
            if one.name == STAR:
                names[STAR] = f"{names.get(STAR, '')} {origin}".strip()
            else:
                names[one.asname or one.name] = f"{origin}.{one.name}"
    elif isinstance(node, ast.Assign):
        _assign(node.targets, node.value, names)
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.For | ast.AsyncFor):
        _assign([node.target], None, names)
    elif isinstance(node, ast.With | ast.AsyncWith):
        _assign([one.optional_vars for one in node.items if one.optional_vars], None, names)
    elif isinstance(node, ast.ExceptHandler) and node.name:
        names.setdefault(node.name, "")


def _assign(targets: list[ast.expr], value: ast.expr | None, names: dict[str, str]) -> None:
    """``Order = models.Order`` is another name of it; any other value makes a variable, unless the name was imported."""
    for target in targets:
        if isinstance(target, ast.Name):
            names[target.id] = _alias(value, names) or names.get(target.id, "")
        elif isinstance(target, ast.Tuple | ast.List):
            _assign(target.elts, None, names)


def _alias(value: ast.expr | None, names: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    if not isinstance(value, ast.Name) or not names.get(value.id):
        return ""
    return ".".join([names[value.id], *reversed(parts)])


@dataclass
class Exports:
    """What the project's modules hand on: ``shop.orders.Order``, which ``shop/orders/__init__.py`` imports, is defined in
    ``shop.orders.models``. A module is read only when somebody asks for a name of it, and parsed only if it doesn't define that.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    _origins: dict[str, str] = field(default_factory=dict)
    _texts: dict[str, tuple[frozenset[str], bytes]] = field(default_factory=dict)
    _names: dict[str, dict[str, str]] = field(default_factory=dict)

    def origin(self, dotted: str) -> str:
        """Where that which a dotted name stands for is defined; the name itself when it is not known better."""
        known = self._origins.get(dotted)
        if known is None:
            known = self._origins[dotted] = self._followed(dotted) if self.files else dotted
        return known

    def _followed(self, dotted: str) -> str:
        seen = {dotted}
        while True:
            module, rest = self._split(dotted)
            name, _, tail = rest.partition(".")
            target = self._exported(module, name, set()) if module and name else ""
            further = f"{target}.{tail}" if target and tail else target
            if not further or further in seen:
                return dotted
            seen.add(further)
            dotted = further

    def _split(self, dotted: str) -> tuple[str, str]:
        module, rest = dotted, ""
        while module and module not in self.files:
            module, _, last = module.rpartition(".")
            rest = f"{last}.{rest}" if rest else last
        return module, rest

    def _exported(self, module: str, name: str, asked: set[str]) -> str:
        """What ``name`` stands for in a module that imports it; empty when it defines it, or does not know it."""
        asked.add(module)
        defined, text = self._text(module)
        if name in defined or not text:
            return ""
        if name.encode() not in text and b"*" not in text:
            return ""
        names = self._of(module)
        return names.get(name) or self.starred(names.get(STAR, ""), name, asked)

    def starred(self, origins: str, name: str, asked: set[str]) -> str:
        """That of the modules, of which everything is imported, the last that has the name; ``asked``: those to leave out."""
        for origin in reversed(origins.split()):
            if origin in self.files and origin not in asked:
                if name in self._text(origin)[0]:
                    return f"{origin}.{name}"
                further = self._exported(origin, name, asked)
                if further:
                    return further
        return ""

    def _text(self, module: str) -> tuple[frozenset[str], bytes]:
        """What it defines, and its text if it imports anything at all."""
        if module not in self._texts:
            try:
                text = self.files[module].read_bytes()
            except OSError:
                text = b""
            defined = frozenset((one or other).decode(errors="replace") for one, other in DEFINED.findall(text))
            self._texts[module] = defined, text if b"import" in text else b""
        return self._texts[module]

    def _of(self, module: str) -> dict[str, str]:
        if module not in self._names:
            try:
                tree = ast.parse(self._text(module)[1])
            except UNPARSED:
                tree = ast.Module([], [])
            self._names[module] = module_names(module, self.files[module].name, tree)
        return self._names[module]
