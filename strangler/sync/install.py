"""Puts capture, fence and streams of a context in place, on either side, and takes them away again (P1, P2, P15)."""

from __future__ import annotations

from django.db import transaction

from strangler import conf
from strangler.errors import StranglerError
from strangler.sync import capture, collections, fence, loose_keys, ownership, streams
from strangler.sync.collections import Collection
from strangler.sync.database import alias, port, rows
from strangler.sync.databases.port import Statement
from strangler.sync.recording import effects, store


def install(context: str, using: str | None = None, *, exactly: bool = True) -> None:
    """Everything that the context needs on this side; idempotent, no superuser, short locks. The streams stay off.

    Not ``exactly``: what this code does not know may belong to newer code, and is left alone.
    """
    if conf.side() == "service":
        install_replica(context, using, exactly=exactly)
        return
    declared = collections.declared(context)
    own, copies = collections.for_context(context, using), collections.read_copies(context, using)
    ownership.prepare(context, "monolith", using)
    streams.create(declared, side="monolith", using=using)
    streams.subscribe(declared.mirror_stream, [collection.name for collection in own], using, exactly=exactly)
    if copies:
        streams.subscribe(declared.copies_stream, [collection.name for collection in copies], using, exactly=exactly)
    _guard(context, "monolith", own, copies, using)


def install_replica(context: str, using: str | None = None, *, exactly: bool = True) -> None:
    """The service's side: its tables empty at first, captured for its feed, fenced until it owns them.

    Foreign keys that cross the context's border go, and so does NOT NULL on columns that a partial copy leaves out. Tables are
    emptied only the first time, when this database has no ownership row of the context yet.
    """
    declared = collections.declared(context)
    own, copies = collections.for_context(context, using), collections.read_copies(context, using)
    loose_keys.drop(context, using)
    rows("DELETE FROM strangler_loose_key WHERE context = %s", [context], using)  # here they never come back
    for copy in copies:
        _allow_nulls(copy, using)
    with transaction.atomic(using=alias(using)):
        if not rows("SELECT 1 FROM strangler_ownership WHERE context = %s", [context], using):
            _empty([*own, *copies], using)
            ownership.prepare(context, "service", using)
    streams.create(declared, side="service", using=using)
    streams.subscribe(declared.mirror_stream, [collection.name for collection in own], using, exactly=exactly)
    _guard(context, "service", own, [], using)


def uninstall(context: str | None = None, using: str | None = None, *, keep_epoch: bool = False) -> None:
    """Takes it all away again, of one context or of all; leaves what ``migrate`` made (empty tables, a function).

    ``keep_epoch``: the owner row stays, so that the epoch doesn't fall for a moment (P16): stamps of it are still under way.
    Refused while the service owns a context: its tables here are a copy, and would stay one for ever.
    """
    names = [context] if context else list(conf.estate().contexts)
    for name in names:
        _uninstall(name, using, keep_epoch)
    if context is None:
        capture.uninstall_all(using)
        fence.uninstall_all(using)
        effects.uninstall_all(using)
    elif fence.unused(using):
        fence.uninstall_all(using)


def statements(context: str, using: str | None = None) -> list[str]:
    """The DDL of ``install`` for a DBA who wants to run it (``strangler sync install --sql``)."""
    side = conf.side()
    own = collections.for_context(context, using)
    copies = collections.read_copies(context, using) if side == "monolith" else []
    made = fence.preamble(using)
    for collection in (*own, *copies):
        made += capture.statements(collection, using)
    for collection in own:
        made += fence.statements(collection, context, side, using)
    return made


def missing(context: str, using: str | None = None) -> list[str]:
    """What is not in place although the context is installed: a table that lost a trigger, or never got it."""
    side = ownership.get(context, using).side
    own = collections.for_context(context, using)
    copies = collections.read_copies(context, using) if side == "monolith" else []
    lost = [
        f"{collection.table} is not captured" for collection in (*own, *copies) if not capture.is_installed(collection, using)
    ]
    lost += [
        f"{collection.table} is not fenced" for collection in own if not fence.is_installed(collection, context, side, using)
    ]
    return lost


def _guard(context: str, side: str, own: list[Collection], copies: list[Collection], using: str | None) -> None:
    for collection in (*own, *copies):
        capture.install(collection, using)
    for collection in own:
        fence.install(collection, context, side, using)


def _uninstall(context: str, using: str | None, keep_epoch: bool) -> None:
    held = ownership.get(context, using)
    if held.side == "monolith" and held.owner != "monolith":
        raise StranglerError(
            f"{context} is owned by {held.owner} (epoch {held.epoch}); first: strangler rollback {context} --to monolith"
        )
    own, copies = collections.for_context(context, using), collections.read_copies(context, using)
    loose_keys.restore(context, using)
    streams.drop(collections.declared(context), using)
    wanted = {name for (name,) in rows("SELECT DISTINCT collection FROM strangler_subscription", using=using)}
    for collection in (*own, *copies):
        if collection.name not in wanted:
            capture.uninstall(collection, using)
    for collection in own:
        fence.uninstall(collection, using)
    if held.side == "monolith":
        store.stop(context, forget=True, using=using)
    if not keep_epoch:
        rows("DELETE FROM strangler_ownership WHERE context = %s", [context], using)
    rows(
        Statement("DELETE FROM strangler_applied WHERE collection {among:%s}"),
        [[c.name for c in own] + [f"reset:{c.name}" for c in own]],
        using,
    )


def _allow_nulls(copy: Collection, using: str | None) -> None:
    """Columns that a partial copy leaves out get no value, so they must not demand one."""
    if not copy.partial:
        return
    port(using).allow_nulls(copy, but={column.name for column in copy.columns})


def _empty(mirrored: list[Collection], using: str | None) -> None:
    port(using).empty(mirrored)
