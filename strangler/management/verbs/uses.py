"""``usage``: who still uses a context in the monolith. ``retire``: the end of its way there, and what can be deleted then."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import RenderableType

from strangler.analysis.removal.items import Item
from strangler.control import retire as retiring
from strangler.control import uses
from strangler.control.models import Receipt
from strangler.control.positions import declared_context
from strangler.control.retire import Retired
from strangler.control.saga import silent
from strangler.control.status import operator
from strangler.domain.durations import span
from strangler.domain.plan import Plan
from strangler.domain.usage import foreign_writers
from strangler.errors import Misuse
from strangler.management import render
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, Whole, verb
from strangler.management.verbs.move import tell


def add(subparsers: Subparsers) -> None:
    parser = verb(
        subparsers,
        "usage",
        usage,
        help="Who uses a context in the monolith, the newest first: hits on its views, and statements on its tables from "
        "outside; once it has moved, from anywhere.",
        example="strangler usage payments --days 7",
    )
    parser.add_argument("context", metavar="CONTEXT")
    parser.add_argument("--days", type=float, default=30.0, metavar="N", help="how far back (default %(default)g)")

    parser = verb(
        subparsers,
        "retire",
        retire,
        help="Let a live context retire from the monolith once nothing uses it there, and list what can be deleted.",
        example="strangler retire payments --write-migration shop/payments",
    )
    parser.add_argument("context", metavar="CONTEXT")
    parser.add_argument("--keep-copy", action="store_true", help="its tables stay a fresh read copy, for what reads them here")
    parser.add_argument(
        "--write-migration", type=Path, metavar="APP_DIR", help="write a migration that drops its tables to that app"
    )
    parser.add_argument("--dry-run", action="store_true", help="judge the gates and list what could go; change nothing")
    parser.add_argument("--why", default="", metavar="TEXT", help="kept in the receipt")


def usage(options: argparse.Namespace) -> Answer:
    if not 0 < options.days <= 3650:
        raise Misuse(f"--days is more than 0 and at most 3650, not {options.days:g}")
    context = declared_context(options.context)
    found, recording = uses.seen(context, options.days)
    writers = foreign_writers(found, context.also_written_by)
    listed = [{**asdict(use), "foreign_writer": use in writers} for use in found]
    known = {role: recording.covers_s(role) for role in ("web", "worker")}
    data = {"context": context.name, "days": options.days, "recorded_s": known, "lost_s": recording.lost_s, "uses": listed}
    rows = [
        (
            f"{span(use.age_s)} ago",
            use.access,
            use.table or "–",
            use.kind,
            use.source or "not known",
            f"{use.count:,}",
            _how(use, writers),
        )
        for use in found
    ]
    head = ("last", "access", "table", "by", "source", "times", "")
    shown = [render.grid([head, *rows], indent=0)] if rows else [f"nothing used {context.name} in {options.days:g} days"]
    return Answer(data, [*shown, render.escape(_recorded(known, recording.lost_s))])


def _how(use: uses.Use, writers: list[uses.Use]) -> str:
    if use in writers:
        return "writes past the seam"
    if use.through:
        return "through the seam"
    return "its own code" if use.own else ""


def _recorded(known: dict[str, float | None], lost_s: float | None) -> str:
    parts = [
        f"{role} processes " + (f"for {span(since)}" if since is not None else "not at all") for role, since in known.items()
    ]
    lost = f"; uses were lost {span(lost_s)} ago" if lost_s is not None else ""
    return f"recorded without a gap: {', '.join(parts)}{lost}"


def retire(options: argparse.Namespace) -> Answer:
    done = retiring.retire(
        options.context,
        who=operator(),
        why=options.why,
        dry_run=options.dry_run,
        keep_copy=options.keep_copy,
        write_migration=options.write_migration,
        progress=silent if options.json else tell(),
    )
    code = FAILED if isinstance(done.moved, Plan) and not done.moved.open else PASS
    return Answer(done.to_json(), _retired(done), code)


def _retired(done: Retired) -> list[RenderableType]:
    shown: list[RenderableType] = []
    if isinstance(done.moved, Plan):
        shown += render.plan(done.moved)
    elif isinstance(done.moved, Receipt):
        shown += render.receipt(done.moved)
    else:
        shown.append(f"{done.context} has retired before")
    if done.keeps_copy:
        shown.append("its tables stay, as a fresh copy for what reads them here")
    return [*shown, "what can be deleted:", *_listed(done)]


def _listed(done: Retired) -> list[RenderableType]:
    kept = ("table", "app") if done.keeps_copy else ()
    shown: list[RenderableType] = [_grid([item for item in done.removal.items if item.kind not in kept])]
    if done.removal.obstacles:
        shown += ["change first what still refers to it:", _grid(done.removal.obstacles)]
    if done.migration:
        shown.append(Whole(render.escape(f"the tables are dropped by {done.migration}; look at it: manage.py sqlmigrate")))
    elif not done.keeps_copy and not isinstance(done.moved, Plan):
        shown.append(Whole(f"a migration that drops the tables: strangler retire {done.context} --write-migration APP_DIR"))
    return shown


def _grid(items: Sequence[Item]) -> RenderableType:
    return render.grid([(item.kind, item.name, item.where) for item in items])
