"""Verbs that move a context: advance, rollback, hold, reconcile; and publish, which hands the route table out again."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from rich.markup import escape

from strangler.control import engine, receipts, reconcile
from strangler.control import publish as publishing
from strangler.control.saga import Event, Progress, silent
from strangler.control.status import operator
from strangler.domain.durations import seconds
from strangler.domain.plan import SOFT, Plan
from strangler.domain.stages import Stage
from strangler.errors import Misuse
from strangler.management import render, screen
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, verb
from strangler.management.verbs import breakglass

LONGEST_PAUSE_MS = 60_000.0


def add(subparsers: Subparsers) -> None:
    parser = verb(
        subparsers,
        "advance",
        _travel(engine.ADVANCE),
        help="Move a context one stage or canary step on, or through all of them to a stage.",
        example='strangler advance payments --to canary --percent 10 --why "the first ten percent"',
    )
    _way(parser)
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="GATE",
        help=f"go on although this gate holds: {', '.join(SOFT)}; for one transition, and only with --why (repeatable)",
    )
    parser = verb(
        subparsers,
        "rollback",
        _travel(engine.ROLLBACK),
        help="Move a context one stage back, or through all of them to a stage.",
        example='strangler rollback payments --to monolith --why "the provider is down"',
    )
    _way(parser)
    breakglass.arguments(parser)
    parser = verb(
        subparsers,
        "hold",
        hold,
        help="Park the context's writes for a while without moving anything.",
        example="strangler hold payments --seconds 5",
    )
    parser.add_argument("context", metavar="CONTEXT")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long, 60 at most (default 5)")
    parser.add_argument("--why", default="", metavar="TEXT", help="kept in the receipt")
    parser = verb(
        subparsers,
        "reconcile",
        reconciled,
        help="Set the owner that the stage calls for anew on both sides, after a fail-over or a restore of a database.",
        example="strangler reconcile payments",
    )
    parser.add_argument("context", metavar="CONTEXT")
    parser.add_argument("--why", default="", metavar="TEXT", help="kept in the receipt")
    verb(
        subparsers,
        "publish",
        publish,
        help="Compile the route table from strangler.toml and the stages, and hand it to the proxies.",
        example="strangler publish",
    )


def _way(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("context", metavar="CONTEXT")
    parser.add_argument("--to", metavar="STAGE", help=", ".join(Stage))
    parser.add_argument("--percent", type=int, metavar="N", help="the canary share, 1 to 100")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--dry-run", action="store_true", help="judge the gates and show what would change; change nothing")
    only.add_argument(
        "--rehearse", action="store_true", help="a hand-over up to its fence, undone: measures the pause that it would cost"
    )
    parser.add_argument("--max-pause", metavar="TIME", help="in place of gates.max_pause_ms, as 500ms; over it, it undoes itself")
    parser.add_argument("--why", default="", metavar="TEXT", help="kept in the receipt")
    parser.add_argument(
        "--tries", type=int, default=engine.TRIES, metavar="N", help="of a hand-over that was too slow (default %(default)s)"
    )


def _travel(verb_name: str) -> Callable[[argparse.Namespace], Answer]:
    def travel(options: argparse.Namespace) -> Answer:
        if getattr(options, "force_dead_service", False):
            return breakglass.run(options, silent if options.json else tell())
        done = engine.travel(
            verb_name,
            options.context,
            to=options.to,
            percent=options.percent,
            who=operator(),
            why=options.why,
            dry_run=options.dry_run,
            tries=options.tries,
            max_pause_ms=_pause(options.max_pause),
            rehearse=options.rehearse,
            progress=silent if options.json else tell(),
            overrides=getattr(options, "override", ()),
        )
        if isinstance(done, Plan):
            return Answer(done.to_json(), render.plan(done), PASS if done.open else FAILED)
        shown = [line for receipt in done for line in render.receipt(receipt)]
        return Answer({"receipts": [receipts.to_json(receipt) for receipt in done]}, shown)

    return travel


def _pause(text: str | None) -> float | None:
    """Milliseconds."""
    if text is None:
        return None
    try:
        ms = seconds(text) * 1000
    except ValueError as error:
        raise Misuse(f"--max-pause {text}: {error}") from error
    if not 1 <= ms <= LONGEST_PAUSE_MS:
        raise Misuse(f"--max-pause {text}: it is a time from 1ms to {LONGEST_PAUSE_MS / 1000:g}s")
    return ms


def tell() -> Progress:
    """Each step as it happens, on the error stream: the answer stays alone on the other."""
    console = screen.console(stderr=True)

    def told(event: Event) -> None:
        at = f"{event.running.context} {event.running.to}"
        if event.kind in ("step", "undo"):
            console.print(f"  {'undo ' if event.kind == 'undo' else ''}{escape(at)}: {escape(event.text)}", style="dim")
        elif event.kind in ("failed", "wait", "again"):
            console.print(f"  {escape(at)}: {escape(event.text)}")

    return told


def hold(options: argparse.Namespace) -> Answer:
    progress = silent if options.json else tell()
    receipt = engine.hold(options.context, options.seconds, who=operator(), why=options.why, progress=progress)
    return Answer(receipts.to_json(receipt), render.receipt(receipt))


def reconciled(options: argparse.Namespace) -> Answer:
    epoch, owner = reconcile.reconcile(options.context, who=operator(), why=options.why)
    data = {"context": options.context, "owner": owner, "epoch": epoch}
    return Answer(data, [f"{options.context}: both sides take the {owner} for the owner, at epoch {epoch}"])


def publish(_: argparse.Namespace) -> Answer:
    table = publishing.publish_current()
    return Answer({"table": [table.generation, table.version]}, [f"route table {table.generation}.{table.version} is published"])
