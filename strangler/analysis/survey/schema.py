"""The registered models as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.db.models import ForeignObject

from strangler.analysis.survey.atlas import table
from strangler.domain.coupling.models import FieldFacts, ModelFacts, Models

ABSTRACT = SimpleNamespace(abstract=True)  # what a class that is no model has for its _meta
RELATIONS = (("one_to_one", "one_to_one"), ("many_to_many", "many_to_many"), ("many_to_one", "foreign_key"))


def models() -> Models:
    return {model._meta.label: _model(model) for model in apps.get_models(include_auto_created=True)}


def _model(model: Any) -> ModelFacts:
    meta = model._meta
    proxied = meta.concrete_model._meta.label if meta.proxy else ""
    fields = {one.name: _ended(_field(one), one, meta.concrete_model) for one in meta.get_fields(include_hidden=False)}
    managers = {manager.name: dotted(type(manager)) for manager in meta.managers}
    return ModelFacts(
        meta.label,
        model.__module__,
        model.__qualname__,
        table(model),
        fields,
        managers,
        proxied,
        pk=meta.pk.name,
        querying=tuple(dict.fromkeys(name for manager in meta.managers for name in _querying(manager))),
        bases=tuple(dotted(one) for one in _of_others(model.__mro__[1:]) if getattr(one, "_meta", ABSTRACT).abstract),
    )


def _querying(manager: Any) -> list[str]:
    classes = [*type(manager).__mro__, *getattr(manager, "_queryset_class", object).__mro__]
    return [dotted(one) for one in _of_others(classes)]


def _of_others(classes: Iterable[type]) -> list[Any]:
    return [one for one in classes if one.__module__.partition(".")[0] not in ("builtins", "django", "typing")]


def _ended(facts: FieldFacts, field: Any, concrete: Any) -> FieldFacts:
    """With what a path through the field needs to know of its ends."""
    through: Any = getattr(getattr(field, "remote_field", None), "through", None) or getattr(field, "through", None)
    # Not towards a model that could not be loaded; and others' relations may have none to tell.
    is_whole = isinstance(field, ForeignObject) and hasattr(field.related_model, "_meta")
    keys: Any = field.foreign_related_fields if is_whole else ()
    owner: Any = field.model._meta.concrete_model
    return replace(
        facts,
        through=str(through._meta.label) if hasattr(through, "_meta") else "",
        to_field=keys[0].name if len(keys) == 1 and not keys[0].primary_key else "",
        owner="" if owner is concrete else str(owner._meta.label),
    )


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
