"""What was seen while it ran, as edges: from the database of production, and from runs of tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from django.db import DatabaseError, ProgrammingError, connections

from strangler import conf
from strangler.analysis.runtime import documents, storing
from strangler.analysis.runtime.crossings import Crossing
from strangler.analysis.runtime.gathering import MOST_BY, MOST_TEXTS, Gathering, Weight
from strangler.analysis.usage import reading
from strangler.domain.coupling.atlas import Atlas
from strangler.domain.coupling.edges import Edge, Evidence, Found, Kind, Skipped
from strangler.errors import Misconfigured

WITHOUT_PARSER = "sqlglot is not installed, so no statement is read: pip install 'django-strangler[analysis]'"
LOSSES = {
    "lost": "there was no room for them; more of the same are counted",
    "unread": "the parser does not know them",
    "without code": "no code of the project's own was on the stack, and their unit of work has no home",
}


def read(paths: Iterable[str | Path] = (), database: bool = True) -> Found:
    """``paths``: files of ``pytest --strangler-ledger``. One that can't be read, and a database that can't, is ``Skipped``."""
    gathered, skipped = Gathering(Atlas), []
    for path in map(Path, paths):
        try:
            documents.load(path, gathered)
        except Misconfigured as error:
            skipped.append(Skipped("ledger", str(path), str(error)))
    if database:
        skipped += _from_database(gathered)
    if not reading.can_read():
        skipped.append(Skipped("statements", "runtime", WITHOUT_PARSER))
    for what, why in LOSSES.items():
        if gathered.looked_at[what]:
            skipped.append(Skipped("statements", f"runtime ({gathered.looked_at[what]})", why))
    return Found(edges(gathered), tuple(skipped), dict(sorted(gathered.looked_at.items())))


def _from_database(into: Gathering) -> list[Skipped]:
    alias = conf.setting("DATABASE")
    if connections[alias].vendor != "postgresql":
        return [Skipped("ledger", f"database {alias}", "that of production is kept on PostgreSQL alone; that of tests in a file")]
    try:
        with connections[alias].cursor() as cursor:
            storing.load(cursor, into)
    except DatabaseError as error:
        next_ = "; `manage.py migrate strangler` makes its table" if isinstance(error, ProgrammingError) else ""
        return [Skipped("ledger", f"database {alias}", f"{str(error).strip().splitlines()[0]}{next_}")]
    return []


def edges(gathered: Gathering) -> tuple[Edge, ...]:
    """Sorted. The evidence that counts most comes first."""
    found: dict[tuple[str, ...], list[tuple[Crossing, Weight]]] = {}
    for crossing, weight in gathered.sorted():
        found.setdefault(crossing[:5], []).append((crossing, weight))
    return tuple(_edge(rows) for _, rows in sorted(found.items()))


def _edge(rows: list[tuple[Crossing, Weight]]) -> Edge:
    rows = sorted(rows, key=lambda row: (-row[1].count, row[0]))
    first = rows[0][0]
    note = next((crossing.note for crossing, _ in rows if crossing.note), "")
    evidence = tuple(
        Evidence(crossing.file, weight.line, crossing.text, weight.count, tuple(sorted(weight.by)[:MOST_BY]))
        for crossing, weight in rows[: MOST_TEXTS + 1]
    )
    return Edge(Kind(first.kind), first.source, first.target, first.where, first.what, note, evidence)
