"""A project that Django can't load: its apps by what the settings' source lists, else by what its directories look like."""

from __future__ import annotations

import ast
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from strangler.analysis import loading
from strangler.analysis.static.source import Project
from strangler.analysis.survey import installed_apps
from strangler.analysis.survey.contexts import App, absent, drawn, entry_of, rearranged
from strangler.analysis.survey.modules import SKIPPED, modules, neighbours, places
from strangler.domain.estate import Estate
from strangler.domain.estate_file import parse
from strangler.errors import Misconfigured


def project(*, moves: Mapping[str, str] | None = None, merges: Iterable[tuple[str, str]] = ()) -> Project:
    """Without models: those are for Django to tell. Raises ``Misconfigured`` for a wrong ``strangler.toml``."""
    root = base()
    settings = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    apps = [app(entry) for entry in installed_apps.read(root, settings)] or by_directory(root)
    estate = _declared(root)
    known = rearranged(drawn(apps, estate, (), [settings, *neighbours(root, apps)]), (), moves or {}, merges)
    found = modules(root, known, tests=estate.tests)
    skipped = (*loading.skipped(), *absent(estate, known.apps), *found.skipped)
    return Project(root, known, files=found.read, skipped=skipped, tests=found.tests, loaders=estate.loaders)


def base() -> Path:
    """Where ``manage.py`` is, here or above; else here."""
    here = Path.cwd().resolve()
    return next((directory for directory in (here, *here.parents) if (directory / "manage.py").is_file()), here)


def _declared(root: Path) -> Estate:
    path = root / "strangler.toml"
    if not path.exists():
        return Estate()
    try:
        estate, problems = parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} is not TOML: {error}") from error
    if problems:
        raise Misconfigured(str(problems[0]))
    return estate


def app(entry: str) -> App:
    """Of an entry of INSTALLED_APPS, without importing it."""
    name, config = entry_of(entry)
    path = next(iter(places(base(), name)), base().joinpath(*name.split(".")))
    return App(name, _label(path / "apps.py", config) or name.rpartition(".")[2], path)


def _label(path: Path, config: str) -> str:
    """What the app's own class says."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ""
    for node in tree.body:
        for one in node.body if isinstance(node, ast.ClassDef) and config in ("", node.name) else ():
            if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and one.targets[0].id == "label":
                return one.value.value if isinstance(one.value, ast.Constant) and isinstance(one.value.value, str) else ""
    return ""


def by_directory(root: Path) -> list[App]:
    """What has models or says that it is an app. Its name is counted from where packages begin."""
    found = []
    for directory, below, files in os.walk(root):
        below[:] = sorted(one for one in below if one not in SKIPPED and not one.startswith("."))
        if {"apps.py", "models.py"} & set(files) or ("models" in below and Path(directory, "models", "__init__.py").is_file()):
            path = Path(directory)
            top = next((base for base in (root / "src", root) if path.is_relative_to(base) and path != base), None)
            if top is not None:
                found.append(_named(path, top))
    return found


def _named(path: Path, top: Path) -> App:
    name = ".".join(path.relative_to(top).parts)
    return App(name, _label(path / "apps.py", "") or path.name, path)
