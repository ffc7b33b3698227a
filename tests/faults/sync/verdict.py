"""What must hold when the faults are over and the streams are drained."""

from __future__ import annotations

from dataclasses import dataclass

from strangler.sync import collections, drift
from strangler.sync.client import ServiceClient
from strangler.sync.collections import Collection
from strangler.sync.database import rows, snapshot, value
from tests.faults.sync import audit
from tests.faults.sync.faults import STREAMS
from tests.faults.sync.journal import Journal
from tests.faults.sync.workload import COUNTERS
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE

LEFT = """
SELECT (SELECT count(*) FROM strangler_outbox WHERE stream = ANY(%(streams)s)),
       (SELECT count(*) FROM strangler_backfill WHERE stream = ANY(%(streams)s) AND state <> 'done'),
       (SELECT coalesce(string_agg(stream || ' ' || last_error, '; '), '') FROM (
         SELECT name AS stream, last_error FROM strangler_stream WHERE name = ANY(%(streams)s) AND last_error <> '') AS s)
"""


@dataclass(frozen=True)
class Check:
    name: str
    seen: str
    holds: bool


def check(name: str, wrong: list[str], seen: str = "") -> Check:
    """Holds if nothing is wrong."""
    return Check(name, f"{len(wrong)}: {'; '.join(wrong[:5])}" if wrong else seen or "none", not wrong)


def left() -> tuple[int, int, str]:
    """Pointers and backfills that are not through, and what went wrong last."""
    found = rows(LEFT, {"streams": list(STREAMS)}, SOURCE)[0]
    return int(found[0]), int(found[1]), str(found[2])


def judge(journal: Journal, before: dict[str, int], may_lose: bool) -> list[Check]:
    """``before``: the counters at the start of the round; ``may_lose``: the source has crashed in it."""
    codes = dict(rows("SELECT code, meaning FROM bank_code", using=SOURCE))
    witnesses = {code for code in codes if code.startswith("witness ")}
    own = {code: meaning for code, meaning in codes.items() if code.startswith(("shop ", "program "))}
    wanted, raised, now = journal.rows(witnesses), journal.counts(witnesses), counters()
    odd_ones = [f"{key} is {own.get(key)}, not {wanted.get(key)}" for key in {*wanted, *own} if wanted.get(key) != own.get(key)]
    miscounted = [
        f"{name}: {before[name]} + {raised[name]} ≠ {now[name]}" for name in COUNTERS if before[name] + raised[name] != now[name]
    ]
    quarantined = [f"{c}/{k}: {e}" for c, k, e in rows("SELECT collection, key, error FROM strangler_quarantine", using=SOURCE)]
    pointers, backfills, errors = left()
    return [
        check(
            "every acknowledged write is in the source, no refused one",
            journal.wrong(witnesses, may_lose=may_lose),
            f"{len(witnesses):,} transactions",
        ),
        check("each transaction is there whole: its rows", odd_ones, f"{len(wanted):,} rows"),
        check("each transaction is there whole: its counts", miscounted, f"{sum(raised.values()):,} counted"),
        Check("the streams are drained", f"{pointers} pointers, {backfills} backfills left {errors}", not pointers + backfills),
        check("the quarantine is empty", quarantined),
        *equal(),
        check("no row was applied with an older version", audit.findings(), f"{applied():,} keys"),
        check("drift finds nothing", [f"{stream} {key}" for stream in STREAMS for key in differing(stream)]),
    ]


def counters() -> dict[str, int]:
    found = rows("SELECT handle, balance FROM bank_account WHERE handle = ANY(%s)", [list(COUNTERS)], SOURCE)
    return {handle: int(balance) for handle, balance in found}


def differing(stream: str, only: str = "", url: str | None = None) -> list[tuple[str, str, str]]:
    """What drift finds, in all collections of the stream or in one; ``url``: of the service, to ask it past the network."""
    asked = ServiceClient(CONTEXT, url, (1.0, 0.2 if url else 5.0))
    return drift.check(stream, [only] if only else None, using=SOURCE, client=asked, remember=False).differing


def applied() -> int:
    return int(value("SELECT count(*) FROM audit_version", using=DESTINATION))


def equal() -> list[Check]:
    wrong, count = [], 0
    for collection in (*collections.for_context(CONTEXT, SOURCE), *collections.read_copies(CONTEXT, SOURCE)):
        here, there = table(collection, SOURCE), table(collection, DESTINATION)
        count += len(here)
        keys = sorted(key for key in {*here, *there} if here.get(key) != there.get(key))
        wrong += [f"{collection.name}/{key}: {here.get(key)} ≠ {there.get(key)}" for key in keys]
    return [check("both sides are equal, row by row", wrong, f"{count:,} rows")]


def table(collection: Collection, alias: str) -> dict[str, str]:
    """Key → the row as the wire has it."""
    with snapshot(alias) as cursor:
        cursor.execute(f"SELECT {collection.key_text('t')}, {collection.row_json('t')} FROM {collection.sql} AS t", [])
        return dict(cursor.fetchall())
