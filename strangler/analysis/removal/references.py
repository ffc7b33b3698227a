"""Where the project's Python files name a context's apps, seen from outside of them: settings, URLconfs, imports, texts."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings

LEADS = ("setting", "url")  # go together with the app; what else refers to it has to change first
SKIPPED = {"site-packages", "node_modules", "__pycache__", ".venv", "venv", ".git"}


@dataclass(frozen=True)
class Reference:
    """``kind``: setting, url, import, or text (a dotted name, a model's label, a task's name)."""

    kind: str
    name: str
    file: Path
    line: int


def find(configs: Sequence[AppConfig], tasks: Collection[str]) -> list[Reference]:
    """In order of file and line, each line once a kind."""
    names = _Names(tuple(config.name for config in configs), frozenset(config.label for config in configs), frozenset(tasks))
    inside = [Path(config.path).resolve() for config in configs]
    found: dict[tuple[Path, int, str], Reference] = {}
    for file in _files(configs):
        if not any(file.is_relative_to(folder) for folder in inside):
            for one in _in_file(file, names):
                found.setdefault((file, one.line, one.kind), one)
    return sorted(found.values(), key=lambda one: (one.kind not in LEADS, one.kind, str(one.file), one.line))


@dataclass(frozen=True)
class _Names:
    apps: tuple[str, ...]
    labels: frozenset[str]
    tasks: frozenset[str]

    def has_module(self, name: str) -> bool:
        return any(name == app or name.startswith(f"{app}.") for app in self.apps)

    def has_text(self, text: object) -> bool:
        """A module's dotted name, a task's name, or a model's label: ``payments.Payment``."""
        if not isinstance(text, str):
            return False
        label, _, model = text.partition(".")
        is_model = label in self.labels and model.isidentifier() and model[:1].isupper()
        return is_model or text in self.tasks or self.has_module(text)


def _files(configs: Sequence[AppConfig]) -> list[Path]:
    """Of every package that the project's own modules lie in: settings, URLconf, and the apps."""
    roots = {name.partition(".")[0] for name in (_settings_module(), settings.ROOT_URLCONF, *(config.name for config in configs))}
    found: set[Path] = set()
    for root in filter(None, roots):
        spec = find_spec(root)
        for place in (spec.submodule_search_locations or []) if spec else []:
            found.update(file.resolve() for file in Path(place).rglob("*.py") if not SKIPPED & set(file.parts))
        if spec and spec.origin and not spec.submodule_search_locations:
            found.add(Path(spec.origin).resolve())
    return sorted(found)


def _settings_module() -> str:
    return str(getattr(settings, "SETTINGS_MODULE", None) or os.environ.get("DJANGO_SETTINGS_MODULE", ""))


def _settings_files() -> set[Path]:
    """The module and, where it is a package, all of it."""
    module = sys.modules.get(_settings_module())
    file = getattr(module, "__file__", None)
    if not file:
        return set()
    here = Path(file).resolve()
    return set(here.parent.rglob("*.py")) if here.name == "__init__.py" else {here}


def _in_file(file: Path, names: _Names) -> Iterator[Reference]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, OSError):
        return
    is_settings = file in _settings_files()
    imported: set[str] = set()
    urls: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for module, local in _imports(node, file):
                if names.has_module(module):
                    imported.add(local)
                    yield Reference("import", module, file, node.lineno)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in ("path", "re_path", "url") and _leads_there(node, names, imported):
            urls.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            yield Reference("url", _first_text(node), file, node.lineno)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.lineno not in urls and names.has_text(node.value):
            yield Reference("setting" if is_settings else "text", str(node.value), file, node.lineno)


def _imports(node: ast.Import | ast.ImportFrom, file: Path) -> Iterator[tuple[str, str]]:
    """(module, the name that stands for it here) for all that it may bring in."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, alias.asname or alias.name.partition(".")[0]
        return
    module = node.module or ""
    if node.level:
        package = _package(file)
        kept = package[: len(package) - node.level + 1]
        module = ".".join([*kept, *([module] if module else [])])
    for alias in node.names:
        yield f"{module}.{alias.name}" if module else alias.name, alias.asname or alias.name


def _package(file: Path) -> list[str]:
    """The dotted name of the package that the file's module is in."""
    parts: list[str] = []
    folder = file.parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    return parts


def _called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def _leads_there(node: ast.Call, names: _Names, imported: set[str]) -> bool:
    """A call of ``path`` whose view or URLconf is the context's; not one that has such a call within."""
    for part in ast.walk(node):
        if part is not node and isinstance(part, ast.Call) and _called(part) in ("path", "re_path", "url"):
            return False
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and names.has_module(part.value):
            return True
        if isinstance(part, ast.Name) and part.id in imported:
            return True
    return False


def _first_text(node: ast.Call) -> str:
    first = node.args[0] if node.args else None
    return str(first.value) if isinstance(first, ast.Constant) else ""
