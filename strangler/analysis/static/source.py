"""One module of the project as the detectors see it, and what they may know of the whole project."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

from strangler.domain.coupling.atlas import Atlas
from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.models import Models


@dataclass(frozen=True)
class Project:
    """All that a detector may know besides the module it looks at. It can be pickled; nothing of it is Django's.

    ``root``: files are named relative to it. ``files``: module → file, of the project's own code. ``settings``: name → the dotted
    names and labels among its values. ``templates``: name → (context, file). ``urls``: name, with its namespaces → contexts.
    ``tasks``, ``commands``: name → context. ``tests``: modules of tests, that are left out.
    """

    root: Path
    atlas: Atlas
    models: Models = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    templates: Mapping[str, tuple[str, Path]] = field(default_factory=dict)
    urls: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    tests: int = 0

    def named(self, path: Path, module: str = "") -> str:
        """A file as places have it: relative to the project. What lies elsewhere is named by its module."""
        if path.is_relative_to(self.root):
            return path.relative_to(self.root).as_posix()
        module = module or next((name for name, file in self.files.items() if file == path), "")
        parts = [*module.split("."), "__init__"] if path.name == "__init__.py" else module.split(".")
        return f"{'/'.join(parts)}.py" if module else path.as_posix()


@dataclass
class Source:
    """A parsed module. ``names``: what a name at module level stands for, dotted (``Order`` → ``shop.orders.models.Order``), from
    imports and own definitions. ``scope``: the qualname in which the walk is now, empty at module level.
    """

    module: str
    file: str
    context: str
    tree: ast.Module
    lines: list[str]
    names: dict[str, str]
    scope: str = ""

    def dotted(self, node: ast.AST) -> str:
        """``models.Order.objects`` → ``shop.orders.models.Order.objects``; empty for what is no name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.names.get(node.id, node.id), *reversed(parts)])


class Finding(NamedTuple):
    """What a detector saw at a node: the walk adds source, place and line, and leaves out what stays within the context."""

    kind: Kind
    target: str
    what: str
    note: str = ""
    line: int = 0  # of the node, unless told


class Detector(Protocol):
    """Called by the one walk over a module with each node of the classes in ``nodes``, parents before children.

    Made once a module, so it may keep state of its own; ``source.scope`` says where the walk is.
    """

    nodes: ClassVar[tuple[type[ast.AST], ...]]

    def __init__(self, project: Project, source: Source) -> None: ...

    def look(self, node: ast.AST) -> Iterator[Finding]: ...
