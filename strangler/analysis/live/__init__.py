"""What the app registry and the database's catalogue say. The database is optional: what could not be asked is named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.apps import apps
from django.db import DatabaseError, connections

from strangler.analysis import loading
from strangler.analysis.live import catalogue, generic, lineage, managers, relations
from strangler.analysis.live.places import Places
from strangler.analysis.live.session import NotAnswered, Session, first_line, opened
from strangler.analysis.live.sizes import Size, sizes
from strangler.analysis.static.source import Project
from strangler.domain.coupling.edges import Edge, Found, Kind, Skipped


@dataclass(frozen=True)
class Live:
    """``sizes``: table → (rows, bytes), of those that the database knows."""

    found: Found
    sizes: dict[str, Size] = field(default_factory=dict)


def read(project: Project, *, database: bool = True) -> Found:
    return look(project, database=database).found


def look(project: Project, *, database: bool = True) -> Live:
    """``database`` false: it is not asked. Nothing is ever written. Of a project that Django could not load it says why."""
    found = _Found()
    found.take(loading.skipped())
    if not apps.ready:
        return Live(Found((), tuple(found.skipped)))
    places = Places(project)
    found.take(relations.edges(project.atlas, places))
    found.take(lineage.edges(project.atlas, places))
    found.take(managers.edges(project.atlas, places))
    known: dict[str, Size] = {}
    for alias in connections if database else ():
        try:
            with opened(alias) as asked:
                _ask(found, project, places, asked, alias, known)
        except NotAnswered as error:
            why = f"the database does not answer: {error}; sizes, views, triggers and the targets of generic keys are not known"
            found.skipped.append(Skipped("database", alias, why))
            found.take(generic.edges(project.atlas, places, None, alias))
    if not database:
        found.take(generic.edges(project.atlas, places, None))
    unresolved = sum(1 for one in found.skipped if one.what == "generic_foreign_key")
    looked_at = {"models": len(apps.get_models()), "tables": len(known)}
    looked_at |= {"models_without_source": len(places.missing)} if places.missing else {}
    looked_at |= {"generic_foreign_keys_unresolved": unresolved} if unresolved else {}
    return Live(Found(found.edges(), tuple(found.skipped), looked_at), known)


def _ask(found: _Found, project: Project, places: Places, asked: Session, alias: str, known: dict[str, Size]) -> None:
    found.take(generic.edges(project.atlas, places, asked, alias))
    for what, question in catalogue.questions(project.atlas, places, asked).items():
        try:
            found.take(question())
        except DatabaseError as error:
            found.skipped.append(Skipped(what, alias, f"the database refused: {first_line(error)}"))
    try:
        known.update({**sizes(asked, project.atlas.tables), **known})
    except DatabaseError as error:
        found.skipped.append(Skipped("sizes", alias, f"the database refused: {first_line(error)}"))


class _Found:
    def __init__(self) -> None:
        self._edges: dict[tuple[str, ...], Edge] = {}
        self.skipped: list[Skipped] = []

    def take(self, more: Iterable[Edge | Skipped]) -> None:
        for one in more:
            if isinstance(one, Edge):
                self._edges.setdefault(one.key, one)
            else:
                self.skipped.append(one)

    def edges(self) -> tuple[Edge, ...]:
        order = list(Kind)
        return tuple(sorted(self._edges.values(), key=lambda edge: (order.index(edge.kind), edge.key)))
