"""Models that are made of another context's: its table's child, its abstract base's, its proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps

from strangler.analysis.live.places import Places
from strangler.analysis.survey.schema import dotted
from strangler.domain.coupling.atlas import Atlas
from strangler.domain.coupling.edges import Edge, Kind


def edges(atlas: Atlas, places: Places) -> Iterator[Edge]:
    for model in _with_abstract():
        source = context(atlas, model)
        for base in model.__bases__:
            if not hasattr(base, "_meta") or not atlas.crosses(source, context(atlas, base)):
                continue
            kind = Kind.PROXY if model._meta.proxy and not base._meta.abstract else Kind.INHERITANCE
            note = "abstract" if base._meta.abstract else "" if kind is Kind.PROXY else "multi-table"
            yield Edge(kind, source, context(atlas, base), places.where(model), name(base), note, places.evidence(model))


def _with_abstract() -> list[Any]:
    """The registered models, and the abstract ones that they are made of, each once."""
    listed = (base for model in apps.get_models() for base in model.__mro__ if hasattr(base, "_meta"))
    return list(dict.fromkeys(listed))


def name(model: Any) -> str:
    return dotted(model) if model._meta.abstract else str(model._meta.label)


def context(atlas: Atlas, model: Any) -> str:
    return atlas.of_module(model.__module__) if model._meta.abstract else atlas.of_model(model._meta.label)
