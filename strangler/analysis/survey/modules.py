"""Where the project's own modules lie: packages with or without ``__init__``, below ``src``, apps that lie elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

from strangler.analysis.survey.contexts import NEVER, App, installed
from strangler.domain.coupling.atlas import PLATFORM, Atlas
from strangler.domain.coupling.edges import Skipped

SKIPPED = frozenset({"__pycache__", "node_modules", "venv", "env", "site-packages", "dist-packages"})
TESTS = frozenset({"tests", "conftest"})
TOOLS = frozenset({"manage", "setup", "conftest", "noxfile", "fabfile"})
"""Modules beside the packages that are none of what runs."""


class Modules(NamedTuple):
    """``read``: module → file. ``tests``: how many were left out, for what tests know of each other's contexts costs no cut.
    ``skipped``: directories that can't be listed.
    """

    read: dict[str, Path]
    tests: int
    skipped: tuple[Skipped, ...] = ()


def modules(root: Path, known: Atlas, *, tests: bool = False) -> Modules:
    """Of the project's packages, and of declared apps that lie among the installed ones. Migrations are in, tests where told."""
    apps = {name for name, context in known.apps.items() if context != PLATFORM}
    lone = {name for name in apps if name.partition(".")[0] not in known.packages}
    found: dict[str, Path] = {}
    left_out = 0
    skipped: list[Skipped] = []
    for name in sorted({*known.packages, *lone}):
        for module, path in _of_package(name, places(root, name), skipped):
            if not tests and is_test(module, apps):
                left_out += 1
            elif path.name == "__init__.py" or module not in found:  # a package hides a module of its name
                found[module] = path
    return Modules(dict(sorted(found.items())), left_out, tuple(skipped))


def is_test(module: str, apps: Collection[str]) -> bool:
    """An app may itself lie among tests: what counts is where the module is in it."""
    app = module
    while app and app not in apps:
        app = app.rpartition(".")[0]
    rest = module[len(app) :].strip(".").split(".")
    return bool(TESTS & set(rest)) or any(part.startswith("test_") for part in rest)


def neighbours(root: Path, apps: Iterable[App]) -> set[str]:
    """What else is importable beside the project's own apps, in its own directory: code that is no app is the project's too."""
    found: set[str] = set()
    for base in {_base(app) for app in apps if not installed(app.path)}:
        if base is None or not base.is_relative_to(root):
            continue
        for entry in base.iterdir() if os.access(base, os.R_OK | os.X_OK) else ():
            is_package = os.path.isfile(entry / "__init__.py")  # Path's own raises for a directory that is closed
            is_module = entry.suffix == ".py" and entry.stem not in TOOLS
            if (is_package or is_module) and entry.stem.isidentifier() and not is_test(entry.stem, ()):
                found.add(entry.stem)
    return found - NEVER - SKIPPED


def _base(app: App) -> Path | None:
    """The directory in which its first package lies; none for an app that says it is somewhere else."""
    parts = tuple(app.name.split("."))
    return app.path.parents[len(parts) - 1] if app.path.parts[-len(parts) :] == parts else None


def places(root: Path, name: str) -> list[Path]:
    """The directories of a package, or the file of a module. Nothing is imported. A namespace package has several."""
    first, *rest = name.split(".")
    spec = PathFinder.find_spec(first, [str(root), str(root / "src"), *sys.path])
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [Path(spec.origin)] if spec.origin and spec.origin.endswith(".py") else []
    found = [Path(place, *rest) for place in spec.submodule_search_locations]
    own = [place for place in found if not installed(place)] or found
    return [place.resolve() for one in own for place in (one, one.with_suffix(".py")) if place.is_dir() or place.is_file()]


def _of_package(name: str, places: list[Path], skipped: list[Skipped]) -> Iterator[tuple[str, Path]]:
    def failed(error: OSError) -> None:
        skipped.append(Skipped("directory", str(error.filename), str(error.strerror)))

    for place in places:
        if place.is_file():
            yield name, place
            continue
        for directory, below, files in os.walk(place, onerror=failed):
            below[:] = sorted(one for one in below if one not in SKIPPED and not one.startswith("."))
            package = ".".join((name, *Path(directory).relative_to(place).parts))
            for file in sorted(files):
                if file.endswith(".py"):
                    stem = file.removesuffix(".py")
                    yield package if stem == "__init__" else f"{package}.{stem}", Path(directory, file)
