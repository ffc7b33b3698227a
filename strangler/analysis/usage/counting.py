"""Counted statements → counted uses of contexts. Which table belongs to which context, the models say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from django.apps import apps

from strangler import conf
from strangler.analysis.usage import homes, reading
from strangler.analysis.usage.tally import HIT, Seen, Source, Together
from strangler.domain.estate import Estate

LONGEST_NAME = 300
_tables: tuple[Estate | None, dict[str, frozenset[str]]] = (None, {})


class Row(NamedTuple):
    """``access``: hit (of a view, without a table), read, write or unclear. ``through``: by the context's seam.

    ``own``: by code of the context itself.
    """

    context: str
    access: str
    table: str
    kind: str
    source: str
    through: bool
    own: bool


def tables() -> dict[str, frozenset[str]]:
    """Table, in lower case and without its schema → the contexts that have one of that name."""
    global _tables
    declared = conf.load()[0]
    if _tables[0] is not declared:
        known = homes.apps()
        found: dict[str, frozenset[str]] = {}
        for model in apps.get_models(include_auto_created=True):
            context = known.get(model._meta.app_config.name)
            if context:
                name = model._meta.db_table.rpartition('"."')[2].strip('"').lower()
                found[name] = found.get(name, frozenset()) | {context}
        _tables = (declared, found)
    return _tables[1]


def counted(seen: Mapping[tuple[Source, Seen | Together], int]) -> Counter[Row]:
    rows: Counter[Row] = Counter()
    known = tables()
    for (source, one), count in seen.items():
        if source.home == homes.OURS or isinstance(one, Together):
            continue
        if one is HIT:
            if source.home:
                rows[Row(source.home, "hit", "", source.kind, source.name[:LONGEST_NAME], False, True)] += count
            continue
        named = reading.words(one.sql) & known.keys()
        if not named:  # most statements are of others, and need not be understood
            continue
        access = reading.read(one.vendor, one.sql)
        for how in ("reads", "writes", "unclear"):
            for table in getattr(access, how) & named:
                for context in known[table]:
                    own, through = source.home == context, context in one.through
                    row = Row(context, how.rstrip("s"), table, source.kind, source.name[:LONGEST_NAME], through, own)
                    rows[row] += count
    return rows
