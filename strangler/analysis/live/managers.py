"""Managers and querysets of another context's making, and default queries that reach into another context's tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import EmptyResultSet
from django.db import router

from strangler.analysis.live.places import Places
from strangler.analysis.survey.atlas import table
from strangler.analysis.survey.schema import dotted
from strangler.domain.coupling.atlas import PLATFORM, Atlas
from strangler.domain.coupling.edges import Edge, Kind, Skipped

TABLES = re.compile(r"""\b(?:FROM|JOIN) +["`]([^"`]+)["`]""")
"""In SQL that Django makes, every table is quoted."""


def edges(atlas: Atlas, places: Places) -> Iterator[Edge | Skipped]:
    labels = {table(model): model._meta.label for model in apps.get_models(include_auto_created=True) if not model._meta.proxy}
    for model in apps.get_models():
        source = atlas.of_model(model._meta.label)
        for manager in _own(model) if source != PLATFORM else ():
            where, evidence = places.where(model, manager.name), None
            known: dict[str, str] = {}
            for target, name in _classes(atlas, manager):
                if atlas.crosses(source, target):
                    known.setdefault(target, name)
            reached = [(target, name, "") for target, name in known.items()]
            try:
                reached += [(atlas.of_model(label), label, "joins") for label in _joined(model, manager, labels)]
            except Exception as error:  # it is the project's own code that runs here, and it may ask for a request or a tenant
                yield Skipped("manager", where, f"its default query can not be made: {type(error).__name__}: {error}")
            for target, name, note in reached:
                if atlas.crosses(source, target):
                    evidence = evidence or places.evidence(model, manager.name)
                    yield Edge(Kind.MANAGER, source, target, where, name, note, evidence)


def _own(model: Any) -> list[Any]:
    """All but those that it takes from a parent with a table, or that it is a proxy of: inheritance tells of these."""
    parents = [one for one in model.__mro__[1:] if hasattr(one, "_meta") and not one._meta.abstract]
    taken = {(each.name, each.creation_counter) for parent in parents for each in parent._meta.managers}
    return [each for each in model._meta.managers if (each.name, each.creation_counter) not in taken]


def _classes(atlas: Atlas, manager: Any) -> list[tuple[str, str]]:
    """The manager's class and its queryset's; ``from_queryset`` makes the first one up in a module of Django's."""
    classes = [type(manager), getattr(manager, "_queryset_class", None)]
    return [(atlas.of_module(one.__module__), dotted(one)) for one in classes if one is not None]


def _joined(model: Any, manager: Any, labels: dict[str, str]) -> list[str]:
    """The labels of the models that its default query joins or selects, but the model's own and its parents'."""
    query = manager.get_queryset().query.clone()
    query.default_ordering = False  # Meta.ordering is the model's, whichever manager asks
    plain = not (
        query.where or query.select_related or query.annotations or query.extra or query.combined_queries or query.order_by
    )
    if plain and len(query.alias_map) <= 1:
        return []
    try:
        sql, _ = query.get_compiler(using=router.db_for_read(model)).as_sql()
    except EmptyResultSet:
        return []
    own = {one._meta.label for one in (model, model._meta.concrete_model, *model._meta.get_parent_list())}
    reached = {labels.get(name.lower(), "") for name in TABLES.findall(sql)}
    return sorted(reached - own - {""})
