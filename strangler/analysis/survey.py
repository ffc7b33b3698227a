"""The project as Django has loaded it, as plain data: atlas, models, and what the detectors ask of settings, URLs, templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings

from strangler import conf
from strangler.analysis.static.source import Project
from strangler.domain.coupling.atlas import PLATFORM, Atlas
from strangler.domain.coupling.models import FieldFacts, ModelFacts, Models

OTHERS = {"site-packages", "dist-packages"}
SKIPPED = {"__pycache__", "node_modules", ".venv", "venv", ".git"}


def project() -> Project:
    root = Path(getattr(settings, "BASE_DIR", None) or Path.cwd()).resolve()
    known = atlas()
    return Project(root=root, atlas=known, models=models(), files=files(root, known))


def atlas() -> Atlas:
    """Raises ``Misconfigured`` for a wrong ``strangler.toml``."""
    declared = conf.estate().contexts
    by_app = {app: context.name for context in declared.values() for app in context.apps}
    homes = {config.name: by_app.get(config.name) or _implicit(config) for config in apps.get_app_configs()}
    labels = {config.label: homes[config.name] for config in apps.get_app_configs()}
    listed = apps.get_models(include_auto_created=True)
    packages = {name.partition(".")[0] for name, home in homes.items() if home != PLATFORM}
    packages.add(str(settings.ROOT_URLCONF).partition(".")[0])
    faces = {f"{app}.contract" for app, home in homes.items() if home != PLATFORM}
    return Atlas(
        apps=homes,
        labels=labels,
        models={model._meta.label: labels[model._meta.app_label] for model in listed},
        tables={table(model): labels[model._meta.app_label] for model in listed if not model._meta.proxy},
        packages=frozenset(packages),
        declared=tuple(declared),
        faces=frozenset(faces),
    )


def _implicit(config: AppConfig) -> str:
    return PLATFORM if OTHERS & set(Path(config.path).parts) or config.name.partition(".")[0] == "strangler" else config.label


def table(model: Any) -> str:
    return str(model._meta.db_table).rpartition('"."')[2].strip('"').lower()


def models() -> Models:
    return {model._meta.label: _facts(model) for model in apps.get_models(include_auto_created=True)}


def _facts(model: Any) -> ModelFacts:
    meta = model._meta
    proxied = meta.concrete_model._meta.label if meta.proxy else ""
    fields = {one.name: _field(one, meta.concrete_model) for one in meta.get_fields(include_hidden=False)}
    return ModelFacts(meta.label, model.__module__, model.__qualname__, table(model), fields, {}, proxied, pk=meta.pk.name)


def _field(field: Any, concrete: Any) -> FieldFacts:
    target: Any = getattr(field, "related_model", None)
    related = str(target._meta.label) if hasattr(target, "_meta") else ""
    kind = "column"
    for flag, name in (("one_to_one", "one_to_one"), ("many_to_many", "many_to_many"), ("many_to_one", "foreign_key")):
        if getattr(field, flag, None) and related:
            kind = name
    if field.auto_created and not field.concrete and related:
        kind = f"reverse_{'foreign_key' if field.one_to_many else kind}"
    accessor = field.get_accessor_name() if kind.startswith("reverse_") else ""
    return FieldFacts(field.name, kind, related, getattr(field, "attname", ""), accessor or "", **_ends(field, concrete))


def _ends(field: Any, concrete: Any) -> dict[str, str]:
    """What a path through the field needs to know of its ends: the table between, the key pointed to, the parent that has it."""
    through = getattr(getattr(field, "remote_field", None), "through", None) or getattr(field, "through", None)
    keys: Any = getattr(field, "foreign_related_fields", ()) if field.concrete and field.is_relation else ()
    owner = field.model._meta.concrete_model
    return {
        "through": str(through._meta.label) if hasattr(through, "_meta") else "",
        "to_field": keys[0].name if len(keys) == 1 and not keys[0].primary_key else "",
        "owner": "" if owner is concrete else str(owner._meta.label),
    }


def files(root: Path, known: Atlas) -> dict[str, Path]:
    """Module → file, of the project's own packages and of declared apps wherever they lie."""
    found: dict[str, Path] = {}
    for package in sorted(known.packages):
        base = root / package
        for path in sorted(base.rglob("*.py")) if base.is_dir() else [root / f"{package}.py"]:
            if path.is_file() and not SKIPPED & set(path.parts):
                parts = path.relative_to(root).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found
