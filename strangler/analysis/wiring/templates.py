"""Templates by name, in the order in which Django looks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.apps import apps
from django.template import engines
from django.template.utils import get_app_template_dirs

from strangler.analysis.static.source import Project
from strangler.analysis.wiring.failures import REACHED, skip
from strangler.domain.coupling.atlas import PLATFORM, PROJECT, Atlas
from strangler.domain.coupling.edges import Skipped

PASSED_OVER = {"__pycache__", "node_modules", ".git"}
Files = tuple[tuple[str, Path], ...]


def find(project: Project, skipped: list[Skipped]) -> dict[str, Files]:
    """Name → context and file of each that has it, the first wins. Of Django's and other packages' too: they may be first."""
    found: dict[str, list[tuple[str, Path]]] = {}
    homes = sorted(_homes(project), key=_deepest)
    for folder in dict.fromkeys(_folders(skipped) if apps.ready else _usual(project, homes)):
        for name, path in _files(folder, skipped):
            found.setdefault(name, []).append((_context(project.atlas, project.root, homes, path), path))
    return {name: tuple(dict.fromkeys(files)) for name, files in sorted(found.items())}


def _homes(project: Project) -> list[tuple[Path, str]]:
    """Folder and name of each app; where Django could not load them, of those whose source is there."""
    if apps.ready:
        return [(Path(config.path).resolve(), config.name) for config in apps.get_app_configs()]
    return [(project.files[app].parent.resolve(), app) for app in project.atlas.apps if app in project.files]


def _usual(project: Project, homes: list[tuple[Path, str]]) -> Iterator[Path]:
    yield project.root / "templates"
    for folder, _ in sorted(homes):
        yield from (folder / "templates", folder / "jinja2")


def _deepest(home: tuple[Path, str]) -> tuple[int, str]:
    return -len(home[0].parts), home[1]


def _context(atlas: Atlas, root: Path, homes: list[tuple[Path, str]], path: Path) -> str:
    """Of the app below which it lies; ``project`` for a folder of the whole project's."""
    for folder, app in homes:
        if path.is_relative_to(folder):
            return atlas.apps.get(app, PLATFORM)
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return PROJECT if path.is_relative_to(root) and not installed else PLATFORM


def _folders(skipped: list[Skipped]) -> Iterator[Path]:
    """Engines in their order; of each, what its loaders ask first."""
    try:
        made = engines.all()
    except REACHED as error:
        skipped.append(skip("templates", "TEMPLATES", error))
        yield from map(Path, get_app_template_dirs("templates"))
        return
    for each in made:
        engine = getattr(each, "engine", None)  # Django's
        loaders = list(_leaves(engine.template_loaders)) if engine is not None else []
        for told in [directory for loader in loaders for directory in loader.get_dirs()] or each.template_dirs:
            yield Path(told)


def _leaves(loaders: list[Any]) -> Iterator[Any]:
    """The cached loader has others in it."""
    for loader in loaders:
        if hasattr(loader, "loaders"):
            yield from _leaves(loader.loaders)
        elif hasattr(loader, "get_dirs"):
            yield loader


def _files(folder: Path, skipped: list[Skipped]) -> Iterator[tuple[str, Path]]:
    def failed(error: OSError) -> None:
        skipped.append(Skipped("templates", str(error.filename), str(error.strerror)))

    if not folder.is_dir():
        return
    base = folder.resolve()
    for place, inner, names in os.walk(base, onerror=failed):
        inner[:] = sorted(set(inner) - PASSED_OVER)
        for name in sorted(names):
            if not name.endswith((".py", ".pyc")):
                path = Path(place, name)
                yield path.relative_to(base).as_posix(), path
