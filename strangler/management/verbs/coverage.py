"""``sync coverage``: proves that each kind of write on each collection of a context is captured."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rich.console import RenderableType

from strangler.control.positions import context_named
from strangler.management import render
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, verb
from strangler.sync import coverage
from strangler.sync.coverage import State

SIGNS = {State.CAPTURED: "✓", State.MISSED: "✗", State.NONE: "–", State.UNKNOWN: "?"}


def add(subparsers: Subparsers) -> None:
    parser = verb(
        subparsers,
        "coverage",
        cover,
        help="Do each kind of write on each table, see whether it is captured, and roll it back.",
        example="strangler sync coverage payments",
        anywhere=True,
    )
    parser.add_argument("context", metavar="CONTEXT")


def cover(options: argparse.Namespace) -> Answer:
    """Ends with 1 if a write was missed, or could not be tried: unknown is never green."""
    context_named(options.context)
    found = coverage.check(options.context)
    tried = [finding for row in found for finding in row.findings.values() if finding.state is not State.NONE]
    count = sum(finding.state is State.CAPTURED for finding in tried)
    is_whole = bool(found) and all(row.is_covered for row in found)
    data = {
        "context": options.context,
        "covered": is_whole,
        "collections": [
            {"collection": row.collection, "table": row.table, "writes": {k: asdict(v) for k, v in row.findings.items()}}
            for row in found
        ],
    }
    head = ("collection", *coverage.KINDS)
    lines = [(row.collection, *(SIGNS[row.findings[kind].state] for kind in coverage.KINDS)) for row in found]
    shown: list[RenderableType] = [render.grid([head, *lines], indent=0)]
    for state in (State.MISSED, State.UNKNOWN, State.NONE):
        shown += _reasons(found, state)
    shown.append(f"{count} of {len(tried)} writes are captured; every one was rolled back")
    if any(finding.state is State.MISSED for finding in tried):
        shown.append(f"lay capture anew: strangler sync install {options.context}")
    return Answer(data, shown, PASS if is_whole else FAILED)


def _reasons(found: list[coverage.Row], state: State) -> list[RenderableType]:
    """Each reason once, with what it is about."""
    by_reason: dict[str, list[str]] = {}
    for row in found:
        for kind, finding in row.findings.items():
            if finding.state is state:
                about = kind if state is State.NONE else f"{row.collection} {kind}"
                if about not in by_reason.setdefault(finding.reason, []):
                    by_reason[finding.reason].append(about)
    return [render.escape(f"{SIGNS[state]} {', '.join(about)}: {reason}") for reason, about in by_reason.items()]
