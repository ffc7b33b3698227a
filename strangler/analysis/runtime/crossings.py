"""A statement, or a transaction, with the code that ran it → what of it crosses from one context to another."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from strangler.analysis.runtime.sites import NOWHERE, Place, Site
from strangler.analysis.usage import reading
from strangler.analysis.usage.reading import Access
from strangler.analysis.usage.tally import Seen, Source, Together
from strangler.domain.coupling.atlas import PLATFORM, Atlas
from strangler.domain.coupling.edges import Kind

STATEMENTS = 8_192  # texts whose tables are known by heart
LONGEST = 2_000  # characters of a template that are kept


class Crossing(NamedTuple):
    """An edge's key and note, and of its evidence the file of the code that ran it and the statement's template."""

    kind: str
    source: str
    target: str
    where: str
    what: str
    note: str
    file: str
    text: str


class Code(NamedTuple):
    """Who is to be named for a statement: a piece of code, or for lack of one the unit of work and its home."""

    where: str
    context: str
    file: str


@functools.lru_cache(maxsize=STATEMENTS)
def understood(vendor: str, sql: str) -> tuple[Access, str]:
    """(tables, template)."""
    return reading.read(vendor, sql), reading.template(sql)[:LONGEST]


def of_statement(atlas: Atlas, source: Source, seen: Seen) -> Iterator[Crossing]:
    place: Place = seen.place or NOWHERE
    code = who(atlas, source, place.site)
    access, text = understood(seen.vendor, seen.sql)
    reads, writes = _homes(atlas, access.reads), _homes(atlas, access.writes)
    begun = atlas.of_model(place.origin) if place.origin else ""

    def crossing(kind: Kind, target: str, what: str, note: str = "") -> Iterator[Crossing]:
        if atlas.crosses(code.context, target):
            yield Crossing(kind.value, code.context, target, code.where, what, note, code.file, text)

    for table, context in reads.items():
        yield from crossing(Kind.FOREIGN_READ, context, table)
    for table, context in writes.items():
        cascades = begun and begun != context
        note = f"from {place.origin}" if cascades else ""
        yield from crossing(Kind.CASCADE if cascades else Kind.FOREIGN_WRITE, context, table, note)
    both = reads | writes
    contexts = set(both.values())
    if len(contexts) > 1:
        for target in sorted(contexts):
            yield from crossing(Kind.JOIN, target, _joined(both, code.context, target))


def is_nobodys(atlas: Atlas, source: Source, seen: Seen) -> bool:
    """It touches tables that may move, and there is nobody to be named for it."""
    place: Place = seen.place or NOWHERE
    access, _ = understood(seen.vendor, seen.sql)
    return not who(atlas, source, place.site).context and bool(_homes(atlas, access.reads | access.writes))


def _joined(tables: Mapping[str, str], source: str, target: str) -> str:
    """The tables of the two; all of them where the code that ran it has none of its own among them."""
    ours = {source, target} if source in tables.values() else set(tables.values())
    return " + ".join(sorted(table for table, context in tables.items() if context in ours))


def of_transaction(atlas: Atlas, source: Source, together: Together) -> Iterator[tuple[Crossing, int]]:
    """An edge to each context that was written, with the statements that did so for evidence, and their lines."""
    read = [(write, *understood(write.vendor, write.sql)) for write in together.writes]
    written = _homes(atlas, (table for _, access, _ in read for table in access.writes))
    if len(set(written.values())) < 2:
        return
    code, what = who(atlas, source, together.site), ", ".join(sorted(written))
    for write, access, text in read:
        place: Place = write.place or NOWHERE
        for target in sorted({written[table] for table in access.writes & written.keys()}):
            if atlas.crosses(code.context, target):
                kind = Kind.TRANSACTION.value
                file = place.site.file or code.file
                yield Crossing(kind, code.context, target, code.where, what, "", file, text), place.line


def _homes(atlas: Atlas, tables: Iterable[str]) -> dict[str, str]:
    """Table → context, of those that belong to one that may move."""
    found = {table: atlas.of_table(table) for table in sorted(set(tables))}
    return {table: context for table, context in found.items() if context and context != PLATFORM}


def who(atlas: Atlas, source: Source, site: Site) -> Code:
    """The code; where none is known, the unit of work."""
    if site.where:
        return Code(site.where, site.context, site.file)
    homes = (atlas.of_module(module) for module in source.modules)
    return Code(named(source), next((home for home in homes if home != PLATFORM), ""), "")


def named(source: Source) -> str:
    return f"{source.kind} {source.name}".strip()
