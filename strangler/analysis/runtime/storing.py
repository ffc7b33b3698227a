"""Crossings in the database, on PostgreSQL: added to in the transaction of a flush.

In one order, so that two processes never wait for each other in a circle.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from strangler.analysis.runtime.crossings import Crossing
from strangler.analysis.runtime.gathering import MOST_BY, Gathering, Weight

KEEP_DAYS = 90.0
LOOKED_AT = "looked_at"

ADD = f"""
    INSERT INTO strangler_crossing (key, kind, source, target, "where", what, note, file, text, line, by, count, last_at)
    SELECT given.*, now()
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                %s::integer[], %s::jsonb[], %s::bigint[]) AS given
    ON CONFLICT (key) DO UPDATE
    SET count = strangler_crossing.count + EXCLUDED.count, last_at = now(), line = EXCLUDED.line,
        by = (
            SELECT coalesce(jsonb_agg(one ORDER BY one), '[]')
            FROM (SELECT DISTINCT one FROM jsonb_array_elements(strangler_crossing.by || EXCLUDED.by) AS one
                  ORDER BY one LIMIT {MOST_BY}) AS kept
        )
"""
PRUNE = "DELETE FROM strangler_crossing WHERE last_at < now() - make_interval(secs => %s)"
READ = """
    SELECT kind, source, target, "where", what, note, file, text, line, by::text, count FROM strangler_crossing
    ORDER BY key
"""


class Kept(Gathering):
    """A gathering that the flush stores (``flushing.Reader``)."""

    def waits(self) -> bool:
        return bool(self.crossings or self.looked_at.total())

    def store(self, cursor: Any, *, prune: bool) -> None:
        rows = [_row(crossing, weight) for crossing, weight in self.crossings.items()]
        counts = ((what, count) for what, count in self.looked_at.items() if count)
        rows += [_row(Crossing(LOOKED_AT, "", "", "", what, "", "", ""), Weight(count)) for what, count in counts]
        if rows:
            cursor.execute(ADD, [list(column) for column in zip(*sorted(rows), strict=True)])
        if prune:
            cursor.execute(PRUNE, [KEEP_DAYS * 86_400])

    def stored(self) -> None:
        self.clear()

    forget = stored


def _row(crossing: Crossing, weight: Weight) -> tuple[Any, ...]:
    digest = hashlib.blake2b("\0".join(crossing).encode(), digest_size=16).hexdigest()
    clean = (value.replace("\0", "") for value in crossing)  # PostgreSQL's text has no zero
    return (digest, *clean, weight.line, json.dumps(sorted(weight.by)), weight.count)


def load(cursor: Any, into: Gathering) -> None:
    cursor.execute(READ)
    for *text, line, by, count in cursor.fetchall():
        if text[0] == LOOKED_AT:
            into.looked_at[text[4]] += count
        else:
            into.crossings.setdefault(Crossing(*text), Weight()).add(count, line, tuple(json.loads(by)))
