"""A verifier that never sleeps: one window of keys after another, of every live stream, round and round, at next to no cost.

Each step compares one window (``Comparison.window``), judged by P29 like a full check, and then waits as long as its budget says:
at 1 % of a core 99 times as long as it took, times the streams that share it; each side spends no more than that. So with time
everything is seen, and drift is known before a gate or a person asks. What it finds is recorded, never mended, and
``verified_*``, on which the gates stand, is not touched: windows that were clean at different times are no proof that the whole
was equal at one.

*Two verifiers* take turns: a step first claims the stream's row for ``HOLD_S``, with a token that rises, and only the holder of
the token may move the row on. *A verifier that is killed* leaves its claim to end; the next one begins at the same key, because
only a finished window moves it. *The relay* comes first: a stream with a backlog, a backfill, a failure or a hand-over is left
alone, and nobody waits longer for a service that hangs than for a round. No lock and no transaction is held while a window is
compared.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import time
from dataclasses import dataclass
from typing import Any

from strangler import conf
from strangler.errors import StranglerError
from strangler.sync import drift
from strangler.sync.comparison import Remote
from strangler.sync.database import rows
from strangler.sync.databases.port import Statement

log = logging.getLogger("strangler.sync")

FIRST, MOST = 1_000, 50_000  # rows of a window
WINDOW_S = 0.05  # what a window should take: not longer than what else runs in this worker can wait
HOLD_S = 120.0  # more than the slowest answer may take (client.py)
TIMEOUT = (0.5, 0.5)  # seconds to connect, to answer; a digest may take twelve times as long (client.py)
LISTED = 100  # differing keys that are kept of a pass
IDLE_S = 5.0  # between two looks at a stream that is busy or has nothing

MAKE = """
INSERT INTO strangler_sample (stream)
SELECT name FROM strangler_stream WHERE state = 'live' AND kind <> 'feed' ON CONFLICT DO NOTHING
"""
# The one that has waited longest. SKIP LOCKED: two that ask at once get different ones.
CLAIM = Statement("""
UPDATE strangler_sample SET token = token + 1, due_at = {later:%s}
WHERE stream = (
  SELECT p.stream FROM strangler_sample p JOIN strangler_stream s ON s.name = p.stream
  WHERE p.due_at <= {now} AND s.state = 'live'
  ORDER BY p.due_at LIMIT 1{skip_locked_of:p}
)
RETURNING stream, token, collection, key, size, found
""")
IS_BUSY = Statement("""
SELECT s.failures > 0
  OR EXISTS (SELECT 1 FROM strangler_ownership w WHERE w.context = s.context AND w.owner = 'none')
  OR EXISTS (SELECT 1 FROM strangler_backfill b WHERE b.stream = s.name AND b.state <> 'done')
  OR coalesce((SELECT o.noted_at FROM strangler_outbox o WHERE o.stream = s.name ORDER BY o.id LIMIT 1) < {later:-1}, false)
FROM strangler_stream s WHERE s.name = %s
""")
LATER = Statement("UPDATE strangler_sample SET due_at = {later:%s} WHERE stream = %s AND token = %s")
# ``ended``: the window was the last of a pass. A pass is clean if none of its windows found anything.
MOVE = Statement("""
UPDATE strangler_sample SET
  collection = %(collection)s, key = %(key)s, size = %(size)s, sampled_at = {now}, seen = seen + %(seen)s,
  found = CASE WHEN %(ended)s THEN {json:'[]'} ELSE {json:%(found)s} END,
  drift = CASE WHEN %(ended)s THEN {json_length:{json:%(found)s}} ELSE {greatest:drift; {json_length:{json:%(found)s}}} END,
  last_found = CASE WHEN %(ended)s OR {json_length:{json:%(found)s}} >= {json_length:last_found}
               THEN {json:%(found)s} ELSE last_found END,
  clean_at = CASE WHEN %(ended)s AND {json:%(found)s} = {json:'[]'} THEN pass_at ELSE clean_at END,
  passes = passes + CASE WHEN %(ended)s THEN 1 ELSE 0 END, pass_at = CASE WHEN %(ended)s THEN {now} ELSE pass_at END,
  due_at = {later:%(pause)s * (SELECT count(*) FROM strangler_stream s WHERE s.state = 'live' AND s.kind <> 'feed')}
WHERE stream = %(stream)s AND token = %(token)s
RETURNING 1
""")
SEEN = Statement("""
SELECT stream, {on_wire:sampled_at}, drift, {on_wire:clean_at}, passes, seen, last_found FROM strangler_sample ORDER BY stream
""")


@dataclass(frozen=True)
class Sampled:
    """``drift``: rows that differed in the last whole pass, or already in this one. ``clean_at``: when the last pass began that
    found nothing: everything has been seen equal since. ``found``: ``[collection, key, kind]``, some of those rows."""

    stream: str
    sampled_at: dt.datetime | None
    drift: int
    clean_at: dt.datetime | None
    passes: int
    rows: int
    found: list[list[str]]


@dataclass(frozen=True)
class _Claim:
    stream: str
    token: int
    collection: str
    key: str | None
    size: int
    found: list[list[str]]


def step(using: str | None = None, client: Remote | None = None, share: float | None = None) -> str | None:
    """One window of the stream that has waited longest; its name, or None where none was due. For the periodic task.

    ``share`` of a core, or else ``STRANGLER["SAMPLING"]``; 0 turns it off. What goes wrong with the service is not raised: it is
    the relay's to report.
    """
    share = float(conf.setting("SAMPLING")) if share is None else share
    claim = _claim(using) if share > 0 else None
    if claim is None:
        return None
    if [bool(is_busy) for (is_busy,) in rows(IS_BUSY, [claim.stream], using)] != [False]:
        rows(LATER, [IDLE_S, claim.stream, claim.token], using)
        return None
    started = time.monotonic()
    try:
        moved = _window(claim, using, client)
    except StranglerError as error:
        log.info("sampling.waits stream=%s reason=%s", claim.stream, error)
        rows(LATER, [IDLE_S, claim.stream, claim.token], using)
        return None
    took = time.monotonic() - started
    if moved:
        size = claim.size * 2 if took < WINDOW_S / 2 else claim.size // 2 if took > WINDOW_S * 2 else claim.size
        moved |= {"size": max(FIRST, min(size, MOST)), "pause": took * (1 / share - 1)}
        rows(MOVE, moved, using)  # nothing where another has claimed it meanwhile
    return claim.stream


def sampled(using: str | None = None) -> list[Sampled]:
    """What is known of each stream that was ever looked at."""
    return [
        Sampled(stream, _moment(at), count, _moment(clean_at), passes, seen, _json(found))
        for stream, at, count, clean_at, passes, seen, found in rows(SEEN, [], using)
    ]


def _claim(using: str | None) -> _Claim | None:
    rows(MAKE, using=using)
    found = rows(CLAIM, [HOLD_S], using)
    if not found:
        return None
    stream, token, collection, key, size, known = found[0]
    return _Claim(stream, token, collection, key, size, _json(known))


def _window(claim: _Claim, using: str | None, client: Remote | None) -> dict[str, Any]:
    """Compares the window; what is to be recorded."""
    comparison, known, _ = drift.begin(claim.stream, using, client, timeout=TIMEOUT)
    comparison.carries = False
    names = sorted(known)
    if not names:
        return {}
    is_known = claim.collection in known
    name = claim.collection if is_known else names[0]
    high, seen = comparison.window(known[name], claim.key if is_known else None, claim.size)
    comparison.settle(0)
    found = [*claim.found, *map(list, comparison.report.differing)][:LISTED]
    if len(found) > len(claim.found):
        log.warning("sampling.drift stream=%s collection=%s rows=%d", claim.stream, name, len(comparison.report.differing))
    ended = high is None and name == names[-1]
    following = name if high is not None else names[(names.index(name) + 1) % len(names)]
    return {
        "stream": claim.stream,
        "token": claim.token,
        "collection": following,
        "key": high,
        "seen": seen,
        "found": json.dumps(found),
        "ended": ended,
    }


def _json(held: Any) -> list[list[str]]:
    """``jsonb`` as psycopg gives it: parsed, or as text where Django has turned that off."""
    parsed: list[list[str]] = json.loads(held) if isinstance(held, str) else held
    return parsed


def _moment(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
