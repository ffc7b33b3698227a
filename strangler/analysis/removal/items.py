"""What is there of a context in the monolith: what can be deleted, and what still refers to it and has to change first."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from celery import current_app
from django.apps import AppConfig, apps

from strangler.analysis.removal import references
from strangler.analysis.removal.references import Reference
from strangler.analysis.usage import homes
from strangler.domain.estate import Context

FILES = {"template": "templates", "static file": "static", "translation": "locale", "fixture": "fixtures"}


@dataclass(frozen=True)
class Item:
    """``where`` is a file below the current directory, with the line if it is one line of it."""

    kind: str
    name: str
    where: str


@dataclass(frozen=True)
class Removal:
    """``items`` can be deleted; ``obstacles`` stand outside the context and still refer to it."""

    items: tuple[Item, ...]
    obstacles: tuple[Item, ...]

    def to_json(self) -> dict[str, Any]:
        return {"delete": [asdict(item) for item in self.items], "change_first": [asdict(item) for item in self.obstacles]}


def removal(context: Context) -> Removal:
    configs = [config for config in apps.get_app_configs() if config.name in context.apps]
    found = references.find(configs, {task.name for task in _tasks(context)})
    leads = [Item(one.kind, one.name, _where(one.file, one.line)) for one in found if one.kind in references.LEADS]
    items = [*_apps(configs), *leads, *_files(configs), *_code(configs, context), *_tables(configs)]
    return Removal(tuple(items), tuple(_obstacle(one) for one in found if one.kind not in references.LEADS))


def _obstacle(found: Reference) -> Item:
    return Item(found.kind, found.name, _where(found.file, found.line))


def _apps(configs: list[AppConfig]) -> Iterator[Item]:
    for config in configs:
        yield Item("app", config.name, f"{_where(Path(config.path))}/")


def _files(configs: list[AppConfig]) -> Iterator[Item]:
    for config in configs:
        for kind, folder in FILES.items():
            for file in sorted((Path(config.path) / folder).rglob("*")):
                if file.is_file():
                    yield Item(kind, str(file.relative_to(Path(config.path) / folder)), _where(file))


def _code(configs: list[AppConfig], context: Context) -> Iterator[Item]:
    for task in sorted(_tasks(context), key=lambda task: task.name):
        yield Item("task", task.name, _at(task.run))
    for config in configs:
        for file in sorted((Path(config.path) / "management" / "commands").glob("[!_]*.py")):
            yield Item("command", file.stem, _where(file))


def _tables(configs: list[AppConfig]) -> Iterator[Item]:
    for config in configs:
        for model in config.get_models(include_auto_created=True):
            if model._meta.managed and not model._meta.proxy:
                named = model._meta.auto_created or model  # a many-to-many's own table is declared where the field is
                yield Item("table", model._meta.db_table, _at(named))


def _tasks(context: Context) -> list[Any]:
    current_app.loader.import_default_modules()
    return [task for task in current_app.tasks.values() if homes.of_module(task.__module__ or "") == context.name]


def _at(thing: Any) -> str:
    try:
        thing = inspect.unwrap(thing)
        return _where(Path(inspect.getfile(thing)), inspect.getsourcelines(thing)[1])
    except (OSError, TypeError):
        return ""


def _where(file: Path, line: int = 0) -> str:
    file = file.resolve()
    shown = str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
    return f"{shown}:{line}" if line else shown
