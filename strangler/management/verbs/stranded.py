"""``strangler sync stranded``: what a dead service had acknowledged, for a person to look at and to deal with (P22)."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from strangler.control import receipts, stranding
from strangler.control.positions import context_named
from strangler.control.status import operator
from strangler.management import render
from strangler.management.answer import FAILED, PASS, Answer, Whole, verb
from strangler.sync import stranded

SHOWN = 50
HEAD = ("written", "key", "the service did", "the monolith has", "the service's row")


def add(verbs: Any) -> None:
    parser = verb(
        verbs,
        "stranded",
        run,
        help="What a service that was left by break-glass had acknowledged: each row as it has it, and what the monolith "
        "has. Applied by nobody. Ends with 1 while some wait or are not collected.",
        example='strangler sync stranded payments --settle payments.Payment/17 --reason "captured again by hand"',
    )
    parser.add_argument("context", metavar="CONTEXT")
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--settle", metavar="COLLECTION/KEY", nargs="+", help="a person has dealt with these")
    act.add_argument("--settle-all", action="store_true", help="with all that wait")
    act.add_argument("--abandon", action="store_true", help="the service will not come back: give up what was not collected")
    parser.add_argument("--reason", default="", metavar="TEXT", help="what was done about them; kept for ever")


def run(options: argparse.Namespace) -> Answer:
    context_named(options.context)
    if options.abandon:
        receipt = stranding.abandon(options.context, who=operator(), why=options.reason)
        lines = [f"what the service of {options.context} still has is given up (receipt {receipt.pk})"]
        return Answer({"receipt": receipts.to_json(receipt)}, lines)
    if options.settle or options.settle_all:
        receipt, count = stranding.settle(options.context, options.settle, who=operator(), why=options.reason)
        return Answer({"settled": count, "receipt": receipts.to_json(receipt)}, [f"{count:,} settled (receipt {receipt.pk})"])
    return _listing(options.context)


def _listing(context: str) -> Answer:
    pending, found, lost = stranded.pending(context), stranded.listed(context), stranded.losses(context)
    data = {
        "context": context,
        "collected": not pending,
        "waits_for": [one.error for one in pending],
        "lost": lost,
        "changes": [asdict(one) for one in found],
    }
    shown: list[RenderableType] = [
        render.escape(f"✗ not collected yet, since {one.at:%Y-%m-%d %H:%M:%S}: {one.error or 'the service has not answered'}")
        for one in pending
    ]
    shown += [render.escape(f"✗ {loss}") for loss in lost]
    if found:
        rows = [(one.written_at, one.subject, one.op, one.here, json.dumps(one.row)) for one in found[:SHOWN]]
        shown.append(render.grid([HEAD, *rows], indent=0))
        shown += [f"and {len(found) - SHOWN:,} more: --json"] if len(found) > SHOWN else []
        shown.append(Whole(f'when they are dealt with:  strangler sync stranded {context} --settle-all --reason "…"'))
    elif not pending:
        shown.append(f"✓ no write of a dead service of {context} waits for anybody")
    return Answer(data, shown, FAILED if found or pending else PASS)
