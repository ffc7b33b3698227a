"""Apply: a batch of events becomes rows at the destination, in one transaction, each key only if its version is newer (P8–P10).

Interleavings that it stands:

- *The same batch twice* (a crash between answer and acknowledgement, a repeated POST): equal versions are skipped, and a new
  round carries a greater version with the same or a newer row.
- *An older batch that comes late* (a relay that was paused): its version is smaller, for every key and every tombstone. A key
  that was never seen here and belongs to a collection that was reset since is held back by the reset's own version (the floor).
- *Two batches at once*: each first writes the versions, in order of key, and so holds the row locks of ``strangler_applied``; the
  second waits there and then compares with what the first has committed. A reset waits for all batches of its collection.
- *A change of owner meanwhile*: the batch holds the context's lock shared from before it reads the owner to its commit (P10).
- *Two rows that swap a unique value*: the bulk statement fails, the batch is done again with delete before insert. If the other
  row is not in the batch, the key waits. Rows that the database refuses are poison; the rest of the batch is applied all the
  same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.utils import DatabaseError, OperationalError

from strangler.domain.envelope import BadEvent, Event, Op, Version
from strangler.errors import Misconfigured, StaleEpoch
from strangler.sync import collections as known
from strangler.sync import databases, ownership
from strangler.sync.collections import Collection
from strangler.sync.database import connection, execute, port, sqlstate
from strangler.sync.databases.port import Statement
from strangler.sync.lock import collection_key, lock_key
from strangler.sync.negotiation import Answer, check_keys, negotiate
from strangler.sync.upsert import Refused, careful, plain

Hook = Callable[[str, str, str], None]
_hooks: list[Hook] = []
_asks_for_inserts: dict[Hook, Callable[[str], bool]] = {}

OWNERS = Statement("SELECT context, side, epoch, owner, operation FROM strangler_ownership WHERE context {among:%s}")
FLOORS = Statement("SELECT collection, epoch, token, round FROM strangler_applied WHERE key = '' AND collection {among:%s}")
FLOOR = "reset:"  # strangler_applied keeps the version of a collection's last reset under this name and the key ''
RETRIED = ("40001", "40P01")
STALE_CATALOGUE = ("42703", "42P01", "42804")


@dataclass
class Outcome:
    """What became of each subject. ``skipped`` had an older or equal version and counts as done."""

    applied: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    waits: dict[str, str] = field(default_factory=dict)
    poison: dict[str, str] = field(default_factory=dict)
    schemas: Answer = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        def listed(refused: Mapping[str, str]) -> list[dict[str, str]]:
            return [{"subject": subject, "reason": reason} for subject, reason in refused.items()]

        done = {"applied": self.applied, "skipped": self.skipped, "waits": listed(self.waits), "poison": listed(self.poison)}
        return {**done, "schemas": self.schemas}

    @property
    def failing(self) -> dict[str, str]:
        return {**self.waits, **self.poison}


Finish = Callable[[Any, Outcome], None]


def on_row_applied(hook: Hook, *, inserts: Callable[[str], bool] | None = None) -> None:
    """Call ``hook(collection, key, "upsert" | "delete")`` for each applied row (P9).

    In collections for which ``inserts`` holds, an upsert of a row that was not there is an ``"insert"``.

    It runs in the applying transaction, after all rows of the batch, as an ordinary session (no origin, triggers as usual), at
    least once. What it raises undoes the batch, which is then delivered again. For effects outside the database use
    ``on_commit`` in it.
    """
    if hook not in _hooks:
        _hooks.append(hook)
    if inserts:
        _asks_for_inserts[hook] = inserts


def apply(
    events: Iterable[Event],
    collections: Mapping[str, Collection] | None = None,
    *,
    using: str | None = None,
    finish: Finish | None = None,
) -> Outcome:
    """Apply a batch of one stream. ``finish(cursor, outcome)`` runs last in the same transaction; what it raises undoes all.

    Raises ``StaleEpoch`` if this side is the owner of a collection's context or knows a later epoch, ``BadEvent`` for a batch
    of two streams, ``SchemaMismatch`` where its rows need a migration here, ``Misconfigured`` if the role may not apply.
    """
    newest = _newest(events)
    stream = _stream(newest)
    if collections is None:
        collections = known.for_stream(stream, using) if newest else {}
    outcome = Outcome()
    check_keys(newest, collections)
    todo = _accepted(newest, collections, outcome)
    schemas = negotiate(todo, collections)
    is_careful, failures = False, 0
    while True:
        try:
            with port(using).applying() as cursor:
                done = _attempt(cursor, stream, todo, collections, is_careful, using)
                result = Outcome(done.applied, done.skipped, dict(outcome.waits), dict(outcome.poison), schemas)
                if finish:
                    finish(cursor, result)
            return result
        except Refused as refused:
            # Those keys are taken out and their versions stay as they were; the rest is done again without them.
            is_careful = True
            for event, reason, waits in refused.events:
                (outcome.waits if waits else outcome.poison)[event.subject] = reason
            todo = [event for event in todo if event.subject not in outcome.waits and event.subject not in outcome.poison]
        except OperationalError as error:
            failures += 1
            if sqlstate(error) not in RETRIED or failures > 5:
                raise
        except DatabaseError as error:
            failures += 1
            if sqlstate(error) == "42501" and "session_replication_role" in str(error):
                raise Misconfigured(
                    "this role may not apply changes; as a superuser: GRANT SET ON PARAMETER session_replication_role TO "
                    f"{connection(using).settings_dict.get('USER') or 'the role'}"
                ) from error
            if sqlstate(error) in STALE_CATALOGUE and failures == 1:
                known.forget()
                if newest:
                    collections = known.for_stream(stream, using)
                continue
            if is_careful or sqlstate(error)[:2] not in ("22", "23"):
                raise
            is_careful = True


def _newest(events: Iterable[Event]) -> list[Event]:
    """One event per subject, the one with the greatest version; order kept."""
    best: dict[str, Event] = {}
    for event in events:
        held = best.get(event.subject)
        if held is None or held.version <= event.version:
            best[event.subject] = event
    return list(best.values())


def _stream(events: Sequence[Event]) -> str:
    streams = {event.stream for event in events}
    if len(streams) > 1:
        raise BadEvent(f"a batch is of one stream, this one is of {', '.join(sorted(streams))}")
    return streams.pop() if streams else ""


def _accepted(events: Sequence[Event], collections: Mapping[str, Collection], outcome: Outcome) -> list[Event]:
    """Those that this side can make something of; the others are poison in ``outcome``."""
    keys = {name: tuple(column.name for column in collection.key) for name, collection in collections.items()}
    accepted = []
    for event in events:
        names = keys.get(event.collection)
        if names is None:
            outcome.poison[event.subject] = f"this side has no collection {event.collection}"
        elif event.data is not None and any(name not in event.data for name in names):
            outcome.poison[event.subject] = f"data lacks the key {', '.join(names)}"
        else:
            accepted.append(event)
    return accepted


def _attempt(
    cursor: Any, stream: str, events: Sequence[Event], collections: Mapping[str, Collection], is_careful: bool, using: str | None
) -> Outcome:
    if not events:
        return Outcome()
    resets = [event for event in events if event.op is Op.RESET]
    _enter(cursor, stream, events, collections)
    _check_ownership(cursor, events, collections)
    changed: list[tuple[str, str, str]] = []
    outcome = Outcome()
    floors = _floors(cursor, [event.collection for event in resets]) if resets else {}
    for event in resets:
        if event.version > floors.get(event.collection, Version(-1, 0, 0)):
            changed += _reset(cursor, collections[event.collection], event.version)
            floors[event.collection] = event.version
            outcome.applied.append(event.subject)
        else:
            outcome.skipped.append(event.subject)
    rounds: dict[tuple[str, Version], list[Event]] = {}
    for event in events:
        if event.op is not Op.RESET:
            rounds.setdefault((event.collection, event.version), []).append(event)
    chosen: dict[str, list[Event]] = {}
    for name, version in sorted(rounds):
        mine, older = _claim(cursor, name, version, rounds[name, version])
        chosen.setdefault(name, []).extend(mine)
        outcome.skipped += [event.subject for event in older]
    write = careful if is_careful else plain
    there: dict[str, set[str]] = {}
    for name, mine in chosen.items():
        if any(asks(name) for asks in _asks_for_inserts.values()):
            there[name] = _there(cursor, collections[name], mine)
        write(cursor, collections[name], mine, using)
        outcome.applied += [event.subject for event in mine]
    if _hooks:
        databases.of(cursor.db).leave(cursor)
        for collection, key, op in changed:
            _tell(collection, key, op)
        for name, mine in chosen.items():
            for event in mine:
                was_there = name not in there or event.key in there[name]
                _tell(name, event.key or "", str(event.op), is_new=not was_there)
    return outcome


def _there(cursor: Any, collection: Collection, events: Sequence[Event]) -> set[str]:
    """The keys of those rows that the table has already."""
    keys = [event.key or "" for event in events]
    cursor.execute(
        f"SELECT {collection.key_text('t')} FROM {collection.sql} AS t WHERE {collection.key_matches('t')}",
        [collection.keys_param(keys)],
    )
    return {key for (key,) in cursor.fetchall()}


def _enter(cursor: Any, stream: str, events: Sequence[Event], collections: Mapping[str, Collection]) -> None:
    """The origin and all locks at once; what the locks guard is read by later statements.

    Shared: the ownership of each context, and each collection; exclusive: a collection that is reset. In a fixed order.
    """
    resets = {event.collection for event in events if event.op is Op.RESET}
    names = sorted({event.collection for event in events}, key=collection_key)
    locks = [(lock_key(context), False) for context in _contexts(events, collections)]
    locks += [(collection_key(name), name in resets) for name in names]
    databases.of(cursor.db).enter(cursor, stream, [collections[name] for name in names], locks)


def _contexts(events: Sequence[Event], collections: Mapping[str, Collection]) -> list[str]:
    return sorted({collections[event.collection].context for event in events})


def _check_ownership(cursor: Any, events: Sequence[Event], collections: Mapping[str, Collection]) -> None:
    """P10. Only contexts that this database has an ownership row for; a read copy of another context has none at its service."""
    execute(cursor, OWNERS, [_contexts(events, collections)])
    for found in cursor.fetchall():
        held = ownership.Record(*found)
        if held.here:
            raise StaleEpoch(
                f"{held.context} is owned by this side, the {held.side}, at epoch {held.epoch}; it takes no changes of it"
            )
        versions = {(event.collection, event.version) for event in events}
        oldest = min(version.epoch for name, version in versions if collections[name].context == held.context)
        if oldest < held.epoch:
            raise StaleEpoch(f"{held.context} is at epoch {held.epoch} here; changes of epoch {oldest} are refused")


def _floors(cursor: Any, names: Iterable[str]) -> dict[str, Version]:
    execute(cursor, FLOORS, [[FLOOR + name for name in names]])
    return {name.removeprefix(FLOOR): Version(*version) for name, *version in cursor.fetchall()}


def _claim(cursor: Any, name: str, version: Version, events: Sequence[Event]) -> tuple[list[Event], list[Event]]:
    """Writes the version where it is greater than the stored one; splits the events into those and the others."""
    upserts = [event.key or "" for event in events if event.op is Op.UPSERT]
    deletes = [event.key or "" for event in events if event.op is Op.DELETE]
    claimed = _raise(cursor, name, version, upserts + deletes, len(upserts))
    if claimed is None:
        return list(events), []
    return [event for event in events if event.key in claimed], [event for event in events if event.key not in claimed]


def _raise(cursor: Any, name: str, version: Version, keys: list[str], upserts: int) -> set[str] | None:
    """The keys whose stored version was smaller and is now this one; None: all of them."""
    said = {"collection": name, "floor": FLOOR + name, "keys": keys, "count": len(keys), "upserts": upserts}
    return databases.of(cursor.db).raise_versions(cursor, {**said, **version._asdict()})


def _reset(cursor: Any, collection: Collection, version: Version) -> list[tuple[str, str, str]]:
    """Deletes every row whose stored version is older, and those versions; the floor takes the place of all their tombstones."""
    _raise(cursor, FLOOR + collection.name, version, [""], 1)
    older, table = [collection.name, *version], collection.sql
    cursor.execute(
        f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM strangler_applied a "
        f"WHERE a.collection = %s AND a.key = {collection.key_text(table)} AND (a.epoch, a.token, a.round) >= (%s, %s, %s)) "
        f"RETURNING {collection.key_text(table)}",
        older,
    )
    gone = [(collection.name, key, "delete") for (key,) in cursor.fetchall()]
    cursor.execute("DELETE FROM strangler_applied WHERE collection = %s AND (epoch, token, round) < (%s, %s, %s)", older)
    return gone


def _tell(collection: str, key: str, op: str, *, is_new: bool = False) -> None:
    for hook in _hooks:
        asks = _asks_for_inserts.get(hook)
        hook(collection, key, "insert" if is_new and op == Op.UPSERT and asks and asks(collection) else op)
