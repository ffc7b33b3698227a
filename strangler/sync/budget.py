"""The outbox budget: how much may wait for a destination that doesn't take it, before its stream is given up (P4).

Looked at by the periodic task of each side, so it must cost next to nothing while all is well. Ids of an outbox rise, so the
distance from a stream's first pointer to its last bounds its rows from above (the ids of other streams and of rolled-back
transactions lie between): two looks at an index. Only where that bound is over the budget the rows are counted, up to the budget
and one more. Bytes are rows times the size of the first few, with what a row costs in the indexes.

A stream is given up when it is over at two looks at least ``GRACE_S`` apart: a clock that was set ahead makes everything look old
for a moment only, for the destination takes it meanwhile.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from strangler import conf
from strangler.domain.estate import Budget
from strangler.sync import broken
from strangler.sync.database import rows
from strangler.sync.databases.port import Statement

log = logging.getLogger("strangler.sync")

GRACE_S = 10.0
SAMPLE = 100
INDEXES = 90  # bytes of a pointer besides its own: its line and header, its entries in the primary key and the stream's index
WATCHED = Statement("""
SELECT name, context, over_since IS NOT NULL, coalesce(over_since <= {later:-%s}, false)
FROM strangler_stream WHERE state <> 'broken' AND kind <> 'reverse' ORDER BY name
""")
ENDS = Statement("""
WITH few AS (SELECT * FROM strangler_outbox WHERE stream = %(stream)s ORDER BY id LIMIT %(few)s)
SELECT {since:first.noted_at}, last.id - first.id + 1,
       (SELECT avg({pointer_bytes:few}) FROM few)
FROM (SELECT id, noted_at FROM few ORDER BY id LIMIT 1) first,
     (SELECT id FROM strangler_outbox WHERE stream = %(stream)s ORDER BY id DESC LIMIT 1) last
""")
COUNT = "SELECT count(*) FROM (SELECT 1 FROM strangler_outbox WHERE stream = %s LIMIT %s) AS few"
MARK = Statement("UPDATE strangler_stream SET over_since = CASE WHEN %s THEN {now} END WHERE name = %s")


@dataclass(frozen=True)
class Usage:
    """What waits for a stream; ``rows`` and ``bytes`` are bounds from above unless ``is_counted``. ``age_s``: of the oldest."""

    rows: int = 0
    bytes: int = 0
    age_s: float = 0.0
    is_counted: bool = False

    def over(self, budget: Budget) -> str:
        """Why it is too much, or nothing."""
        if self.rows > budget.max_rows:
            return f"more than {budget.max_rows:,} changes waited"
        if self.bytes > budget.max_bytes:
            return f"changes waited that take {self.bytes / 1e6:,.0f} MB, more than {budget.max_bytes / 1e6:,.0f}"
        if self.age_s > budget.max_age_s:
            return f"a change waited for {self.age_s / 3600:,.1f} h, longer than {budget.max_age_s / 3600:,.1f}"
        return ""

    def share(self, budget: Budget) -> float:
        """How much of its budget is used, by whichever limit is nearest."""
        return max(self.rows / budget.max_rows, self.bytes / budget.max_bytes, self.age_s / budget.max_age_s)


def usage(stream: str, budget: Budget, using: str | None = None) -> Usage:
    """Bounds where they are below the budget, else counted."""
    found = rows(ENDS, {"stream": stream, "few": SAMPLE}, using)
    if not found:
        return Usage(is_counted=True)
    age, bound, each = float(found[0][0]), int(found[0][1]), float(found[0][2]) + INDEXES
    seen = Usage(bound, int(bound * each), age)
    if seen.rows <= budget.max_rows and seen.bytes <= budget.max_bytes:
        return seen
    counted = int(rows(COUNT, [stream, budget.max_rows + 1], using)[0][0])
    return Usage(counted, int(counted * each), age, is_counted=True)


def of(context: str) -> Budget:
    """What the estate declares, or the default for a context that it doesn't know any more."""
    declared = conf.load()[0].contexts.get(context)
    return declared.outbox if declared else Budget()


def enforce(using: str | None = None) -> list[str]:
    """Look at every stream's outbox on this side, give up those that are over for good, and take away what those left.

    The names of the streams that broke now. Idempotent; several at once do no harm.
    """
    broke = []
    for name, context, is_marked, is_over_for_long in rows(WATCHED, [GRACE_S], using):
        why = usage(name, of(context), using).over(of(context))
        if why and is_over_for_long:
            if broken.give_up(name, why, using):
                log.error("stream.broken stream=%s why=%r next=%r", name, why, f"strangler sync backfill {context}")
                broke.append(name)
        elif bool(why) is not bool(is_marked):
            rows(MARK, [bool(why), name], using)
    broken.sweep(using)
    return broke
