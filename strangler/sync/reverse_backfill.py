"""The reverse mirror made anew, after the service's feed has lost changes (P4): every row compared, what differs sent again.

The service is the source and captures again before this begins (``broken.open_feed``), so what changes from then on comes by the
feed. All that may be missing is older, and a comparison of all rows finds it: each key that differs is noted at the service and
comes by the feed like any change, deletions too, until a comparison finds none. Meanwhile the proxies are told no marker. A crash
leaves the backfill unfinished, and the same call goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from strangler.errors import Gone, StranglerError
from strangler.sync import broken, collections, drift, reverse, streams
from strangler.sync.database import rows, value
from strangler.sync.databases.port import Statement

ROUNDS = 100
PLACE = Statement("SELECT {greatest:cursor; floor} FROM strangler_stream WHERE name = %s")
BEGIN = Statement("""
INSERT INTO strangler_backfill (stream, collection, state, waits_for)
SELECT %s, c, 'running', '[]' FROM {each:%s; c} WHERE true
ON CONFLICT (stream, collection) DO UPDATE
SET state = 'running', sent = 0, started_at = {now}, finished_at = NULL, paused_at = NULL
""")
SENT = "UPDATE strangler_backfill SET sent = sent + %s WHERE stream = %s AND collection = %s"
END = Statement("UPDATE strangler_backfill SET state = 'done', finished_at = {now} WHERE stream = %s")


class Service(drift.Remote, reverse.Feed, Protocol):
    """The service, as ``ServiceClient`` knows it."""


def begin(stream: str, service: Service, using: str | None = None) -> None:
    """Live again from where the feed goes on. Raises ``Gone`` while the service does not capture."""
    floor = int(value(PLACE, [stream], using))
    try:
        service.changes(floor, 1)
    except Gone as gone:
        if gone.floor <= floor:
            raise
        service.changes(gone.floor, 1)  # it was given up once more
        rows("UPDATE strangler_stream SET floor = %s WHERE name = %s", [gone.floor, stream], using)
    rows(broken.COMES_BACK, [stream], using)
    rows(BEGIN, [stream, list(collections.for_stream(stream, using))], using)
    streams.start(stream, using)


def mend(stream: str, service: Service, using: str | None = None, said: Callable[[str], None] = lambda text: None) -> int:
    """Compare and send again until nothing differs; how many rows were sent. Raises ``StranglerError`` where that has no end."""
    sent = 0
    seen: list[list[tuple[str, str, str]]] = []
    for _ in range(ROUNDS):
        report = drift.check(stream, using=using, client=service)
        if not report.differing:
            rows(END, [stream], using)
            return sent
        seen = [*seen[-1:], report.differing]
        if len(seen) > 1 and seen[0] == seen[1]:
            break
        drift.repair(report, using=using, client=service)
        for name in {collection for collection, _, _ in report.differing}:
            count = sum(collection == name for collection, _, _ in report.differing)
            rows(SENT, [count, stream, name], using)
        sent += len(report.differing)
        said(f"{stream}: {report.rows_checked:,} rows compared, {len(report.differing):,} sent again")
        reverse.run(stream, using, service)
    raise StranglerError(
        f"stream {stream}: {len(report.differing):,} rows differ however often they are sent; see: strangler sync quarantine list"
    )
