"""``strangler ratchet update|check``: the crossings that are known and owned; a new one fails, and a line without one too."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from strangler.analysis import ratchet
from strangler.analysis.collect import silent
from strangler.analysis.ratchet import Held
from strangler.domain.coupling.ratchet import MISSING, Entry
from strangler.domain.coupling.sizes import plural
from strangler.errors import Misuse
from strangler.management import maps
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, Whole, verb
from strangler.management.progress import Telling


def add(subparsers: Subparsers) -> None:
    group = subparsers.add_parser(
        "ratchet",
        help="Crossings between contexts may only become fewer: update the list of those known, check the code against it.",
        description="Crossings between contexts may only become fewer: those known stand in a file, with owner and reason.",
        epilog="example: strangler ratchet check",
    )
    verbs = group.add_subparsers(title="verbs", metavar="VERB", required=True)
    parser = _of_file(
        verbs,
        "update",
        update,
        "Write the file: what is new comes in with an owner and a reason, what is gone goes, the rest stays. Never in CI.",
        'strangler ratchet update --owner ann --reason "until the contract has refunds" --until 2027-03-31',
    )
    parser.add_argument("--owner", default="", metavar="NAME", help="of what is new: a person or a team")
    parser.add_argument("--reason", default="", metavar="TEXT", help="of what is new; without one the line asks for it")
    parser.add_argument("--until", metavar="DATE", help="the last day on which what is new is let be: 2027-03-31")
    parser = _of_file(
        verbs,
        "check",
        check,
        "End with 1 where a crossing is new, and where a line is stale or expired.",
        "strangler ratchet check --strict",
    )
    parser.add_argument("--strict", action="store_true", help="also where a reason is missing, or something could not be read")


def _of_file(subparsers: Subparsers, name: str, run: Any, help: str, example: str) -> argparse.ArgumentParser:
    parser = verb(subparsers, name, run, help=help, example=example, anywhere=True)
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help=f"default: STRANGLER['RATCHET'] of the settings, else {ratchet.DEFAULT}"
    )
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="look for runtime kinds too, in what pytest --strangler-ledger recorded"
    )
    parser.add_argument("--database", action="store_true", help="look for what depends on the database's content too")
    return parser


def check(options: argparse.Namespace) -> Answer:
    held = _held(options)
    seen = held.compared
    holds = seen.holds(strict=options.strict) and not (options.strict and held.skipped)
    shown: list[RenderableType] = []
    for said, remedy in ratchet.complaints(held):
        shown += [Whole(f"[red]✗[/] {maps.escape(said)}"), Whole(f"    {maps.escape(remedy)}")]
    if seen.untold:
        lines = ", ".join(str(entry.line) for entry in seen.untold)
        shown.append(
            Whole(f"reason missing, or owner: {plural(len(seen.untold), 'line')} of {maps.escape(str(held.path))} ({lines})")
        )
    shown += _unseen(held)
    counts = f"{len(seen.new)} new, {len(seen.stale)} stale, {len(seen.expired)} expired"
    sign = "[green]✓[/]" if holds else "[red]✗[/]"
    shown.append(
        Whole(f"{sign} {plural(seen.known, 'crossing')} of {maps.escape(str(held.path))} {_are(seen.known)} there; {counts}")
    )
    return Answer({"holds": holds, **_data(held)}, shown, PASS if holds else FAILED)


def update(options: argparse.Namespace) -> Answer:
    held = _held(options, may_be_new=True)
    new = Entry(("", "", "", "", ""), options.owner.strip() or MISSING, options.reason.strip() or MISSING, _until(options.until))
    after = ratchet.update(held, new)
    seen = held.compared
    untold = sum(not entry.is_told for entry in after)
    counts = f"{len(seen.new)} came in, {len(seen.stale)} went, {len(held.entries) - len(seen.stale)} stay"
    shown: list[RenderableType] = [Whole(f"{maps.escape(str(held.path))}: {plural(len(after), 'crossing')}; {counts}")]
    if untold:
        shown.append(Whole(f"{plural(untold, 'line')} without a reason: write one where it says {MISSING}"))
    if seen.expired:
        shown.append(Whole(f"{plural(len(seen.expired), 'line')} expired: mend the code, or write another day there"))
    return Answer({**_data(held), "entries": len(after), "untold": untold}, [*shown, *_unseen(held)])


def _held(options: argparse.Namespace, *, may_be_new: bool = False) -> Held:
    if options.ledger and not options.ledger.is_file():
        raise Misuse(f"there is no file {options.ledger}; make it: pytest --strangler-ledger={options.ledger}")
    with Telling(sys.stderr, quiet=options.json) as telling:
        return ratchet.hold(
            ratchet.path(options.file),
            recorded=options.ledger,
            database=options.database,
            may_be_new=may_be_new,
            progress=silent if options.json else telling.told,
        )


def _until(given: str | None) -> date | None:
    try:
        return date.fromisoformat(given) if given else None
    except ValueError:
        raise Misuse(f"--until takes a day such as 2027-03-31, not {given!r}") from None


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _unseen(held: Held) -> list[RenderableType]:
    shown: list[RenderableType] = []
    if held.compared.unseen:
        count = plural(len(held.compared.unseen), "line")
        shown.append(Whole(f"{count} not looked for: --ledger and --database tell of them, or their file could not be read"))
    if held.skipped:
        shown.append(Whole(f"{plural(len(held.skipped), 'thing')} could not be looked at: strangler analyze --all names them"))
    return shown


def _data(held: Held) -> dict[str, Any]:
    seen = held.compared
    return {
        "file": str(held.path),
        "known": seen.known,
        "new": [
            {"kind": edge.kind, "source": edge.source, "target": edge.target, "where": edge.where, "what": edge.what}
            | {"evidence": [asdict(proof) for proof in edge.evidence]}
            for edge in seen.new
        ],
        **{name: [_entry(entry) for entry in getattr(seen, name)] for name in ("stale", "expired", "untold", "unseen")},
        "skipped": [asdict(one) for one in held.skipped],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    told = {"owner": entry.owner, "reason": entry.reason, "until": entry.until, "line": entry.line}
    return dict(zip(("kind", "source", "target", "where", "what"), entry.key, strict=True)) | told
