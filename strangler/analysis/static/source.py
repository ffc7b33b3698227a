"""One module of the project as the detectors see it, and what they may know of the whole project."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

from strangler.analysis.static.names import STAR, Exports, bound, package
from strangler.domain.coupling.atlas import Atlas
from strangler.domain.coupling.edges import Kind, Skipped
from strangler.domain.coupling.models import Models


@dataclass(frozen=True)
class Project:
    """All that a detector may know besides the module it looks at. It can be pickled; nothing of it is Django's.

    ``root``: files are named relative to it. ``files``: module → file, of the project's own code. ``settings``: name → the dotted
    names and labels among its values. ``templates``: name → (context, file). ``urls``: name, with its namespaces → contexts.
    ``tasks``, ``commands``: name → context. ``app_of``: module of an app → its label, where it is not the last part of its name.
    ``skipped``: what of the source could not be found. ``tests``: modules of tests, that are left out.
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
    app_of: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    tests: int = 0
    endpoints: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """``GET /api/orders/`` → (context, ``FILE:QUALNAME`` of its view, if that is the project's own)."""
    loaders: Mapping[str, str] = field(default_factory=dict)
    """Functions that import by name → the package below which: ``oscar.core.loading.get_class`` → ``oscar.apps``."""
    shadowed: Mapping[str, tuple[tuple[str, Path], ...]] = field(default_factory=dict)
    """Templates behind the first of their name, as Django finds them."""

    @cached_property
    def packages(self) -> frozenset[str]:
        """Every module of the project and every package around one, also those without an ``__init__.py``."""
        return frozenset(".".join(parts[:end]) for parts in map(_parts, self.files) for end in range(1, len(parts) + 1))

    @cached_property
    def known_labels(self) -> dict[str, str]:
        """Label in lower case → as the registry has it."""
        return {label.lower(): label for label in (*self.models, *self.atlas.models)}

    @cached_property
    def classes(self) -> dict[str, str]:
        """Dotted class → label, of every model that is known."""
        return {f"{one.module}.{one.qualname}": label for label, one in self.models.items()}

    def home(self, dotted: str) -> str:
        """The module in a dotted name: ``shop.orders.models.Order`` → ``shop.orders.models``; the name if none is known."""
        rest = dotted
        while rest and rest not in self.packages and rest not in self.atlas.apps:
            rest = rest.rpartition(".")[0]
        return rest or dotted

    def named(self, path: Path, module: str = "") -> str:
        """A file as places have it: relative to the project; what lies elsewhere by its module, or the package around."""
        if path.is_relative_to(self.root):
            return path.relative_to(self.root).as_posix()
        if module:
            parts = [*module.split("."), "__init__"] if path.name == "__init__.py" else module.split(".")
            return f"{'/'.join(parts)}.py"
        around = next((one for one in path.parents if one in self._directories), None)
        return f"{self._directories[around]}/{path.relative_to(around).as_posix()}" if around else path.as_posix()

    @cached_property
    def _directories(self) -> dict[Path, str]:
        """Those of packages → their names with slashes."""
        return {path.parent: "/".join(_parts(name)) for name, path in self.files.items() if path.name == "__init__.py"}


def _parts(name: str) -> list[str]:
    return name.split(".")


@dataclass
class Source:
    """A parsed module. ``names``: what a name at module level stands for, dotted (``Order`` → ``shop.orders.models.Order``), from
    imports and own definitions. Where the walk is now: ``scope``, the qualname without ``<locals>``, empty at module level;
    ``frames``, the definitions around, outermost first; ``typing``, whether under ``if TYPE_CHECKING``.
    """

    module: str
    file: str
    context: str
    tree: ast.Module
    lines: list[str]
    names: dict[str, str]
    scope: str = ""
    frames: tuple[ast.AST, ...] = ()
    typing: bool = False
    exports: Exports = field(default_factory=Exports)
    _locals: dict[ast.AST, dict[str, str]] = field(default_factory=dict, repr=False)
    _last: tuple[ast.AST | None, str] = (None, "")

    @property
    def in_function(self) -> bool:
        return any(not isinstance(frame, ast.ClassDef) for frame in self.frames)

    @property
    def package(self) -> str:
        """That from which relative imports are counted."""
        return package(self.module, self.file)

    def dotted(self, node: ast.AST) -> str:
        """``models.Order.objects`` → ``shop.orders.models.Order.objects``, by the names of the functions around, of the
        module, and through what packages export; empty for what is no name. A local variable stays as it is written.
        """
        if node is self._last[0]:  # several detectors ask for the same
            return self._last[1]
        parts: list[str] = []
        first = node
        while isinstance(first, ast.Attribute):
            parts.append(first.attr)
            first = first.value
        name = (
            self.exports.origin(".".join([self._stands_for(first.id), *reversed(parts)])) if isinstance(first, ast.Name) else ""
        )
        self._last = (node, name)
        return name

    def _stands_for(self, name: str) -> str:
        for depth in range(len(self.frames) - 1, -1, -1):
            frame = self.frames[depth]
            if isinstance(frame, ast.ClassDef) and depth < len(self.frames) - 1:
                continue  # names of a class are not seen by its methods
            if frame not in self._locals:
                self._locals[frame] = bound(frame, self.package)
            if name in self._locals[frame]:
                return self._locals[frame][name] or name
        known = self.names.get(name)
        if known is None and STAR in self.names:
            known = self.exports.starred(self.names[STAR], name, set())
        return known or name


class Finding(NamedTuple):
    """What a detector saw at a node: the walk adds source, place and line, and leaves out what stays within the context.

    ``scope``: the qualname that is meant instead of where the walk is, such as of the decorated function; ``*``: the module.
    ``models``: as of an edge.
    """

    kind: Kind
    target: str
    what: str
    note: str = ""
    line: int = 0  # of the node, unless told
    scope: str = ""
    models: tuple[str, ...] = ()


class Detector(Protocol):
    """Called by the one walk over a module with each node of the classes in ``nodes``, parents before children.

    Made once a module, so it may keep state of its own; ``source.scope`` says where the walk is: outside of a definition when
    that itself, its decorators, defaults and bases are shown. One that also has ``words``, a tuple of bytes or a pattern, is
    made only for files in which one of them stands.
    """

    nodes: ClassVar[tuple[type[ast.AST], ...]]

    def __init__(self, project: Project, source: Source) -> None: ...

    def look(self, node: ast.AST) -> Iterator[Finding]: ...
