"""The registered models as plain data."""

from __future__ import annotations

from typing import Any

from django.apps import apps

from strangler.analysis.survey.atlas import table
from strangler.domain.coupling.models import FieldFacts, ModelFacts, Models

RELATIONS = (("one_to_one", "one_to_one"), ("many_to_many", "many_to_many"), ("many_to_one", "foreign_key"))


def models() -> Models:
    return {model._meta.label: _model(model) for model in apps.get_models(include_auto_created=True)}


def _model(model: Any) -> ModelFacts:
    meta = model._meta
    proxied = meta.concrete_model._meta.label if meta.proxy else ""
    fields = {one.name: _field(one) for one in meta.get_fields(include_hidden=False)}
    managers = {manager.name: dotted(type(manager)) for manager in meta.managers}
    return ModelFacts(meta.label, model.__module__, model.__qualname__, table(model), fields, managers, proxied)


def dotted(what: Any) -> str:
    return f"{what.__module__}.{what.__qualname__}"


def _field(field: Any) -> FieldFacts:
    target: Any = getattr(field, "related_model", None)
    related = str(target._meta.label) if hasattr(target, "_meta") else ""
    kind = "generic" if is_generic(field) else "column"
    for flag, name in RELATIONS:
        if getattr(field, flag, None) and related:
            kind = name
    if field.auto_created and not field.concrete and related:
        kind = f"reverse_{'foreign_key' if field.one_to_many else kind}"
    if is_generic_relation(field):
        return FieldFacts(field.name, "reverse_generic", related, "", field.name)
    accessor = field.get_accessor_name() if kind.startswith("reverse_") else ""
    return FieldFacts(field.name, kind, related, getattr(field, "attname", None) or "", accessor or "")


def is_generic(field: Any) -> bool:
    """A GenericForeignKey. By what it has: its class can't be imported where content types aren't installed."""
    return hasattr(field, "ct_field") and hasattr(field, "fk_field")


def is_generic_relation(field: Any) -> bool:
    return hasattr(field, "content_type_field_name") and hasattr(field, "object_id_field_name")
