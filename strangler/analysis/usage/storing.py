"""The record in the database: added to in one transaction a flush, by a connection of the flush's own, on PostgreSQL.

Rows are added in one order, so that two processes never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connections

from strangler import conf
from strangler.analysis.usage.counting import Row
from strangler.domain.usage import GAP_S, Recording, Span, Use

KEEP_DAYS = 30.0  # and twice as long as a gate asks for

OWNERS = "SELECT context FROM strangler_ownership WHERE owner = 'service'"
ADD = """
    INSERT INTO strangler_usage (hour, context, access, "table", kind, source, through, own, count, last_at)
    SELECT date_trunc('hour', now(), 'UTC'), given.*, now()
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[], %s::boolean[], %s::bigint[]) AS given
    ON CONFLICT (context, hour, access, "table", kind, source, through, own) DO UPDATE
    SET count = strangler_usage.count + EXCLUDED.count, last_at = greatest(strangler_usage.last_at, EXCLUDED.last_at)
"""
PROLONG = """
    UPDATE strangler_usage_span SET until = greatest(until, now())
    WHERE id = (
        SELECT id FROM strangler_usage_span
        WHERE role = %(role)s AND lost = 0 AND until > now() - make_interval(secs => %(gap)s)
        ORDER BY until DESC, id LIMIT 1
    )
"""
BEGIN = "INSERT INTO strangler_usage_span (role, began, until) VALUES (%s, now(), now())"
LOSE = "INSERT INTO strangler_usage_span (role, began, until, lost) VALUES ('', now(), now(), %s)"
PRUNE = "DELETE FROM strangler_usage WHERE hour < now() - make_interval(secs => %(keep)s)"
PRUNE_SPANS = "DELETE FROM strangler_usage_span WHERE until < now() - make_interval(secs => %(keep)s)"

SPANS = """
    SELECT role, extract(epoch FROM now() - began), extract(epoch FROM now() - until), lost
    FROM strangler_usage_span ORDER BY until
"""
USES = """
    SELECT access, "table", kind, source, through, own, sum(count), extract(epoch FROM now() - max(last_at)), max(last_at)
    FROM strangler_usage
    WHERE context = %(context)s AND last_at >= now() - make_interval(secs => %(within)s)
    GROUP BY access, "table", kind, source, through, own
    ORDER BY max(last_at) DESC, access, "table", kind, source
"""


# Less than PostgreSQL takes to find a deadlock: a test suite that truncates the tables meanwhile is never the one to lose.
PATIENCE = "SET LOCAL lock_timeout = '500ms'"


@contextmanager
def _cursor() -> Iterator[Any]:
    """In one transaction of a connection that is closed afterwards: a recorder must not use up what requests need."""
    connection = connections.create_connection(conf.setting("DATABASE"))
    try:
        connection.set_autocommit(False)
        with connection.cursor() as cursor:
            cursor.execute(PATIENCE)
            yield cursor
        connection.commit()
    finally:
        connection.close()


def store(
    counted: Mapping[Row, int], *, roles: Sequence[str], lost: int, prune: bool, more: Iterable[Callable[[Any], None]] = ()
) -> None:
    """``more``: what else is stored with this cursor. Raises what the database says; then nothing of it is stored."""
    with _cursor() as cursor:
        cursor.execute(OWNERS)
        moved = {context for (context,) in cursor.fetchall()}
        # What a context does with its own tables is no news, as long as it has not moved away.
        news = [row for row in counted if not row.own or row.access == "hit" or row.context in moved]
        rows = [(*row, counted[row]) for row in sorted(news)]
        if rows:
            cursor.execute(ADD, [list(column) for column in zip(*rows, strict=True)])
        for role in roles:
            cursor.execute(PROLONG, {"role": role, "gap": GAP_S})
            if not cursor.rowcount:
                cursor.execute(BEGIN, [role])
        if lost:
            cursor.execute(LOSE, [lost])
        if prune:
            keep = {"keep": _keep_days() * 86_400}
            cursor.execute(PRUNE, keep)
            cursor.execute(PRUNE_SPANS, keep)
        for further in more:
            further(cursor)


def _keep_days() -> float:
    asked = [max(context.gates.writers_days, context.gates.retire_days) for context in conf.load()[0].contexts.values()]
    return max([KEEP_DAYS, *(2 * days for days in asked)])


def recording() -> Recording:
    """When somebody recorded, as far as it is known."""
    with connections[conf.setting("DATABASE")].cursor() as cursor:
        cursor.execute(SPANS)
        return Recording(tuple(Span(role, float(began), float(until), lost) for role, began, until, lost in cursor.fetchall()))


def uses(context: str, within_s: float) -> list[Use]:
    """Who used the context in that time, the newest first."""
    with connections[conf.setting("DATABASE")].cursor() as cursor:
        cursor.execute(USES, {"context": context, "within": within_s})
        return [
            Use(access, table, kind, source, through, own, int(count), max(0.0, float(age)), last_at.isoformat())
            for access, table, kind, source, through, own, count, age, last_at in cursor.fetchall()
        ]
