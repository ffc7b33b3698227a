"""Paths are followed as Django follows them: over the shop's models, its own joins are the truth."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import F
from hypothesis import given, settings
from hypothesis import strategies as st

from strangler.analysis.static.paths import Paths
from strangler.analysis.survey import schema

MODELS = sorted(apps.get_models(include_auto_created=True), key=lambda model: model._meta.label)
TABLES = {model._meta.db_table: model._meta.label for model in MODELS if not model._meta.proxy}
PATHS = Paths(schema.models())


@st.composite
def paths(draw: st.DrawFn) -> tuple[Any, str, bool]:
    """A model, a path of its fields, and whether it ends at a relation."""
    start = model = draw(st.sampled_from(MODELS))
    names: list[str] = []
    while True:
        fields = [field for field in model._meta.get_fields() if not _is_generic(field)]
        field = draw(st.sampled_from(fields))
        names.append(draw(st.sampled_from(sorted({field.name, getattr(field, "attname", None) or field.name}))))
        if field.primary_key if hasattr(field, "primary_key") else False:
            names[-1] = draw(st.sampled_from([names[-1], "pk"]))
        if not field.is_relation:
            return start, "__".join(names), False
        model = field.related_model
        if len(names) > 3 or draw(st.booleans()):
            return start, "__".join(names), True


def _is_generic(field: Any) -> bool:
    return field.is_relation and field.related_model is None


@given(paths())
@settings(max_examples=400, deadline=None)
def test_a_path_joins_what_django_joins(path: tuple[Any, str, bool]) -> None:
    model, text, _ = path
    followed = PATHS.joined(model._meta.label, text)
    assert followed.text == text
    for queryset in (model._base_manager.filter(**{f"{text}__isnull": True}), model._base_manager.values(x=F(text))):
        joins = queryset.query.alias_map
        used = [one.table_name for alias, one in joins.items() if one.parent_alias and queryset.query.alias_refcount[alias]]
        assert sorted(followed.models) == sorted(TABLES[table] for table in used)


@given(paths())
@settings(max_examples=200, deadline=None)
def test_select_related_fetches_what_django_selects(path: tuple[Any, str, bool]) -> None:
    model, text, _ = path
    forward = []
    at = model
    for name in text.split("__"):
        field = None if name == "pk" else at._meta.get_field(name)
        if field is None or not field.is_relation or field.name != name or not (field.many_to_one or field.one_to_one):
            break
        forward.append(name)
        at = field.related_model
    followed = PATHS.fetched(model._meta.label, "__".join(forward) or "x")
    assert len(followed.models) == len(forward)
    if forward:
        queryset = model._base_manager.select_related("__".join(forward))
        queryset.query.get_compiler("default").as_sql()
        joined = [TABLES[one.table_name] for one in queryset.query.alias_map.values() if one.parent_alias]
        assert set(followed.models) <= {*joined, model._meta.label}
