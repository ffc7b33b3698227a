"""Fields that relate two contexts' models, what they put on the other side, and whether they go through a setting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from django.apps import apps

from strangler.analysis.live.places import Places
from strangler.domain.coupling.atlas import Atlas
from strangler.domain.coupling.edges import Edge, Kind, Skipped


def edges(atlas: Atlas, places: Places) -> Iterator[Edge | Skipped]:
    for model in apps.get_models():
        for field in [*model._meta.local_fields, *model._meta.local_many_to_many]:
            remote: Any = getattr(field, "remote_field", None)
            if getattr(remote, "model", None) is None or getattr(remote, "parent_link", False):
                continue
            try:
                yield from list(_of_field(atlas, places, model, field))
            except Exception as error:  # fields of others' making have what Django's have, or nearly
                yield Skipped("relation", places.where(model, field.name), f"{type(error).__name__}: {error}")
            if isinstance(remote.model, str):
                why = f"the model {remote.model} is not loaded: what the relation puts on its side is not known"
                yield Skipped("relation", places.where(model, field.name), why)


def _of_field(atlas: Atlas, places: Places, model: Any, field: Any) -> Iterator[Edge]:
    label = label_of(model, field)
    source, target = atlas.of_model(model._meta.label), atlas.of_model(label)
    if not atlas.crosses(source, target):
        return
    where, evidence = places.where(model, field.name), places.evidence(model, field.name)
    swapped = swappable(places, model, field)
    yield Edge(_kind(field), source, target, where, label, _note(field, swapped), evidence)
    if swapped:
        yield Edge(Kind.SWAPPED, source, target, where, swapped, "", evidence)
    if not isinstance(field.remote_field.model, str):
        accessor = None if field.remote_field.hidden else field.remote_field.get_accessor_name()
        if accessor:
            yield Edge(Kind.REVERSE_ACCESSOR, target, source, where, f"{label}.{accessor}", "declared", evidence)


def label_of(model: Any, field: Any) -> str:
    """Of the model at the other end; as it is written where that one could not be loaded."""
    other = field.remote_field.model
    if not isinstance(other, str):
        return str(other._meta.label)
    return other if "." in other else f"{model._meta.app_label}.{other}"


def _kind(field: Any) -> Kind:
    return Kind.MANY_TO_MANY if field.many_to_many else Kind.ONE_TO_ONE if field.one_to_one else Kind.FOREIGN_KEY


def _note(field: Any, swapped: str) -> str:
    said = []
    remote = field.remote_field
    if field.many_to_many:
        through = remote.through
        if through is not None and not getattr(getattr(through, "_meta", None), "auto_created", False):
            said.append(f"through={through if isinstance(through, str) else through._meta.label}")
    else:
        said.append(f"on_delete={on_delete(remote.on_delete)}")
    if swapped:
        said.append(f"swappable={swapped}")
    if getattr(field, "db_constraint", True) is False or getattr(remote, "db_constraint", True) is False:
        said.append("db_constraint=False")
    return ", ".join(said)


def on_delete(action: Any) -> str:
    """CASCADE, SET_NULL, …; ``SET(…)`` is a function that was made, and says so."""
    name = getattr(action, "__name__", type(action).__name__)
    return "SET" if name == "set_on_delete" else str(name)


def swappable(places: Places, model: Any, field: Any) -> str:
    """The setting that the relation goes through. Django tells only that the model it leads to can be swapped: whether the code
    names the setting or the model itself says the source, where there is one."""
    setting = getattr(field, "swappable_setting", None)
    if not setting:
        return ""
    file, statement = places.node(model, field.name)
    value = getattr(statement, "value", None)
    if not isinstance(value, ast.Call):
        return str(setting)
    to = value.args[0] if value.args else next((one.value for one in value.keywords if one.arg == "to"), None)
    if to is None or isinstance(to, ast.Call):  # a field of the project's own that knows whereto, or get_user_model()
        return str(setting)
    text = ast.unparse(to)
    return str(setting) if setting in text or "get_user_model" in file.made.get(text, "") else ""
