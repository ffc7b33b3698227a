"""Where a path leads that starts from a model: the fields that it names, the models that it joins or fetches.

Names and joins are Django's (``Query.names_to_path``, ``setup_joins``, ``trim_joins``): a join is left out at the end of a path
where the column that is asked for stands on this side of it already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from strangler.analysis.static.source import Project
from strangler.domain.coupling.models import FieldFacts, Models

FORWARD = ("foreign_key", "one_to_one")


@dataclass(frozen=True, slots=True)
class Path:
    """``text``: as far as it names fields, with their separators. ``end``: the label of the model at its end, empty when that is
    a column. ``models``: the labels that it leads to, in order. ``rest``: what is no field: a lookup, a transform, a key in JSON.
    """

    text: str = ""
    models: tuple[str, ...] = ()
    end: str = ""
    rest: tuple[str, ...] = ()


class Hop(NamedTuple):
    """One join. ``key``: the column over there that stands here too, as ``near``; empty where none does."""

    label: str
    key: str = ""
    near: str = ""


class Paths:
    """Over the models of a project. Each is followed once."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self._joined: dict[tuple[str, str], Path] = {}
        self._fetched: dict[tuple[str, str, str], Path] = {}
        self._columns = {label: _by_column(model.fields.values()) for label, model in models.items()}
        self._accessors = {label: _by_accessor(model.fields.values()) for label, model in models.items()}

    def joined(self, label: str, text: str) -> Path:
        """Of a lookup. ``models`` are those whose tables it joins."""
        key = label, text
        if key not in self._joined:
            self._joined[key] = self._join(label, text)
        return self._joined[key]

    def fetched(self, label: str, text: str, separator: str = "__") -> Path:
        """Of select_related and prefetch_related, or of attributes. ``models`` are those whose rows it loads."""
        key = label, text, separator
        if key not in self._fetched:
            self._fetched[key] = self._fetch(label, text, separator)
        return self._fetched[key]

    def attribute(self, label: str, name: str) -> FieldFacts | None:
        """A relation by the name that it has on an instance."""
        return self._accessors.get(label, {}).get(name)

    def _field(self, label: str, name: str) -> FieldFacts | None:
        return self.models[label].fields.get(name) if label in self.models else None

    def _named(self, label: str, name: str) -> FieldFacts | None:
        return self._field(label, name) or self._columns.get(label, {}).get(name)

    def _fetch(self, label: str, text: str, separator: str) -> Path:
        names, models, parts = [], [], text.split(separator)
        for name in parts:
            found = self.attribute(label, name) or self._field(label, name)
            if found is None or not found.related:
                break
            names.append(name)
            models.append(found.related)
            label = found.related
        return Path(separator.join(names), tuple(models), label if names else "", tuple(parts[len(names) :]))

    def _join(self, label: str, text: str) -> Path:
        parts = text.split("__")
        names: list[str] = []
        hops: list[Hop] = []
        column = ""
        for name in parts:
            found = self._named(label, self.models[label].pk if name == "pk" and label in self.models else name)
            if found is None:
                break
            names.append(name)
            if found.owner and found.owner != label:
                hops.append(Hop(found.owner, self._pk(found.owner), self._pk(label)))
            if not found.related or found.kind == "column":
                column = found.name
                break
            column = ""
            hops += self._hops(found)
            label = found.related
        kept = _trimmed(hops, column)
        return Path("__".join(names), tuple(kept), "" if column or not names else label, tuple(parts[len(names) :]))

    def _hops(self, field: FieldFacts) -> list[Hop]:
        key = self._pk(field.related)
        if field.kind in FORWARD:
            return [Hop(field.related, field.to_field or key, field.name)]
        if field.kind.endswith("many_to_many"):
            return [*([Hop(field.through)] if field.through else []), Hop(field.related, key)]
        return [Hop(field.related)]

    def _pk(self, label: str) -> str:
        return self.models[label].pk if label in self.models else "id"


def _trimmed(hops: list[Hop], column: str) -> list[str]:
    """``column``: what is asked of the last one; empty: the row itself, by its key."""
    while hops and hops[-1].key and column in ("", hops[-1].key):
        column = hops.pop().near or "?"
    return [hop.label for hop in hops]


def _by_column(fields: Iterable[FieldFacts]) -> dict[str, FieldFacts]:
    return {field.attname: field for field in fields if field.attname}


def _by_accessor(fields: Iterable[FieldFacts]) -> dict[str, FieldFacts]:
    return {field.accessor or field.name: field for field in fields if field.related}


class Crossings:
    """What of a project's models lies beyond a context."""

    def __init__(self, project: Project) -> None:
        self.atlas = project.atlas
        self.paths = Paths(project.models)
        self._contexts = {label: self.atlas.of_model(label) for label in project.models}
        self._names: dict[str, Words] = {}
        self._tables: dict[str, Words] = {}

    def contexts(self, labels: Iterable[str]) -> list[str]:
        """Each once, in order."""
        return list(self.reached(labels))

    def reached(self, labels: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Context → those of the labels that are its own, in order."""
        found: dict[str, tuple[str, ...]] = {}
        for label in dict.fromkeys(labels):
            if context := self._contexts.get(label, ""):
                found[context] = (*found.get(context, ()), label)
        return found

    def names(self, context: str) -> Words:
        """Of the relations that lead to a model of another context: a file that has none of these words crosses by none."""
        if context not in self._names:
            found: set[str] = set()
            for model in self.paths.models.values():
                for field in model.fields.values():
                    for end in (field.related, field.through, field.owner):
                        if end and self.atlas.crosses(context, self._contexts.get(end, "")):
                            found |= {field.name, field.accessor or field.name}
            self._names[context] = Words(found)
        return self._names[context]

    def tables(self, context: str) -> Words:
        """Of other contexts."""
        if context not in self._tables:
            owners = self.atlas.tables.items()
            self._tables[context] = Words(table for table, owner in owners if self.atlas.crosses(context, owner))
        return self._tables[context]


class Words:
    """``all``; and whether a text has one of them, in which nobody looks for ``order_line`` where no ``order`` is."""

    def __init__(self, words: Iterable[str]) -> None:
        self.all = frozenset(words)
        self._groups: dict[str, list[str]] = {}
        last = ""
        for word in sorted(self.all):
            if not last or not word.startswith(last):  # else whatever has it has the other
                self._groups.setdefault(word.partition("_")[0], []).append(word)
                last = word

    def in_text(self, text: str) -> bool:
        return any(start in text and any(word in text for word in group) for start, group in self._groups.items())
