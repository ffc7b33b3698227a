"""Relations between contexts of models that Django could not load, as their source declares them."""

from __future__ import annotations

from collections.abc import Iterator

from strangler.analysis.static.declared import Declaration, Declared
from strangler.analysis.static.models import Registry
from strangler.domain.coupling.edges import Edge, Evidence, Kind

KINDS = {kind.value: kind for kind in (Kind.FOREIGN_KEY, Kind.ONE_TO_ONE, Kind.MANY_TO_MANY)}


def relations(read: Registry) -> Iterator[Edge]:
    """Of each concrete model, with the fields of its abstract bases."""
    atlas = read.project.atlas
    for label, one in read.models.items():
        source = read.context(label)
        for field in read.fields(one).values():
            target = read.target(one, field) if field.kind in KINDS else ""
            context = atlas.of_model(target) or (read.context(target) if target in read.models else "")
            if atlas.crosses(source, context):
                yield from _edges(one, field, source, context, target)


def _edges(one: Declared, field: Declaration, source: str, context: str, target: str) -> Iterator[Edge]:
    where = f"{one.file}:{one.name}.{field.name}"
    seen = (Evidence(field.file, field.line, field.text),)
    yield Edge(KINDS[field.kind], source, context, where, target, _note(field), seen)
    if field.swappable:
        yield Edge(Kind.SWAPPED, source, context, where, field.swappable, evidence=seen)


def _note(field: Declaration) -> str:
    """What a remedy asks for, as of a model that was loaded."""
    options = field.options
    notes = [f"on_delete={options['on_delete']}"] if options["on_delete"] else []
    notes += [f"through={options['through']}"] if options.get("through") else []
    notes += [f"swappable={field.swappable}"] if field.swappable else []
    notes += ["db_constraint=False"] if options.get("db_constraint") is False else []
    return ", ".join(notes)
