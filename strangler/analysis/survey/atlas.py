"""The atlas of a project that Django has loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings

from strangler import conf
from strangler.analysis import loading
from strangler.analysis.survey.contexts import App, Table, drawn, rearranged
from strangler.analysis.survey.modules import neighbours
from strangler.domain.coupling.atlas import Atlas
from strangler.domain.estate import Estate


def atlas(*, moves: Mapping[str, str] | None = None, merges: Iterable[tuple[str, str]] = ()) -> Atlas:
    """Raises ``Misconfigured`` for a wrong ``strangler.toml``."""
    present = [App(config.name, config.label, Path(config.path).resolve()) for config in apps.get_app_configs()]
    whole = drawn([*present, *loading.left_out()], declared(), tables(), [*_roots(), *neighbours(base(), present)])
    return rearranged(whole, tables(), moves or {}, merges)


def base() -> Path:
    """What files are named relative to: ``BASE_DIR``, as most settings have it; else where the command was called."""
    return Path(getattr(settings, "BASE_DIR", None) or Path.cwd()).resolve()


def declared() -> Estate:
    """A file that is not there declares nothing; a wrong one is not taken for that."""
    return conf.estate() if Path(conf.setting("ESTATE")).exists() else Estate()


def tables() -> list[Table]:
    found = []
    for model in apps.get_models(include_auto_created=True):
        made_for = model._meta.auto_created
        maker = made_for._meta.label if made_for else ""
        found.append(Table(model._meta.label, "" if model._meta.proxy else table(model), maker))
    return found


def table(model: Any) -> str:
    """In lower case and without schema: some write ``"schema"."table"`` into ``db_table``."""
    return str(model._meta.db_table).rpartition('"."')[2].strip('"').lower()


def _roots() -> list[str]:
    """Where the project's own code stands besides its apps."""
    named = [getattr(settings, "ROOT_URLCONF", None), getattr(settings, "SETTINGS_MODULE", None)]
    return [str(name).partition(".")[0] for name in [*named, os.environ.get("DJANGO_SETTINGS_MODULE")] if name]
