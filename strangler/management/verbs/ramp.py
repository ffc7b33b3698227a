"""Verbs of the auto-ramp: ``ramp start|hold|resume|abort|status``."""

from __future__ import annotations

import argparse

from rich.console import RenderableType

from strangler.control import ramp_orders, ramp_view, receipts
from strangler.control.ramp_view import RampSeen
from strangler.control.status import operator
from strangler.management import render
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, Verb, verb


def add(subparsers: Subparsers) -> None:
    group = subparsers.add_parser(
        "ramp",
        help="The auto-ramp: users come to the service share by share while every gate passes.",
        description="The auto-ramp takes the declared steps by itself and takes back what fails. It never cuts over.",
        epilog="example: strangler ramp start payments",
    )
    verbs = group.add_subparsers(title="verbs", metavar="VERB", required=True)
    parser = _order(
        verbs,
        "start",
        start,
        "Take the declared steps from here, each after an interval of passing gates. Ends at its target; never cuts over.",
        'strangler ramp start payments --to 50 --why "half of them by Friday"',
    )
    parser.add_argument("--to", type=int, default=100, metavar="SHARE", help="where it ends, in percent (default 100)")
    _order(
        verbs,
        "hold",
        hold,
        "Take no step any more. A gate that fails still takes users back.",
        'strangler ramp hold payments --why "a look at the slow page first"',
    )
    _order(
        verbs,
        "resume",
        resume,
        "Go on from the share that it is now, after a new interval of passing gates.",
        "strangler ramp resume payments",
    )
    parser = _order(
        verbs,
        "abort",
        abort,
        "End the ramp. The share stays as it is, or goes back.",
        'strangler ramp abort payments --back-to shadow --why "the provider is down"',
    )
    parser.add_argument("--back-to", metavar="shadow|SHARE", help="roll back as well, to shadow or to a share in percent")
    parser = verb(
        verbs,
        "status",
        status,
        help="What each ramp does and what it waits for. Ends with 1 where one is frozen.",
        example="strangler ramp status payments",
    )
    parser.add_argument("context", nargs="?", metavar="CONTEXT", help="all without it")


def _order(verbs: Subparsers, name: str, run: Verb, help: str, example: str) -> argparse.ArgumentParser:
    parser = verb(verbs, name, run, help=help, example=example)
    parser.add_argument("context", metavar="CONTEXT")
    parser.add_argument("--why", default="", metavar="TEXT", help="kept in the receipt")
    return parser


def start(options: argparse.Namespace) -> Answer:
    row = ramp_orders.start(options.context, to=options.to, who=operator(), why=options.why)
    return _one(ramp_view.seen(row))


def hold(options: argparse.Namespace) -> Answer:
    return _one(ramp_view.seen(ramp_orders.hold(options.context, who=operator(), why=options.why)))


def resume(options: argparse.Namespace) -> Answer:
    return _one(ramp_view.seen(ramp_orders.resume(options.context, who=operator(), why=options.why)))


def abort(options: argparse.Namespace) -> Answer:
    row, done = ramp_orders.abort(options.context, back_to=options.back_to, who=operator(), why=options.why)
    seen = ramp_view.seen(row)
    shown = [line for receipt in done for line in render.receipt(receipt)]
    data = {**seen.to_json(), "receipts": [receipts.to_json(receipt) for receipt in done]}
    return Answer(data, [*_shown(seen), *shown])


def status(options: argparse.Namespace) -> Answer:
    listed = ramp_view.listed(options.context)
    code = FAILED if any(seen.needs_somebody for seen in listed) else PASS
    shown = [line for seen in listed for line in _shown(seen)] or ["no ramp; start one: strangler ramp start CONTEXT"]
    return Answer({"ramps": [seen.to_json() for seen in listed]}, shown, code)


def _one(seen: RampSeen) -> Answer:
    return Answer(seen.to_json(), _shown(seen))


def _shown(seen: RampSeen) -> list[RenderableType]:
    rows = [("ramp", str(seen))]
    if seen.why:
        rows.append(("why", seen.why))
    if seen.backs:
        rows.append(("taken back", f"{seen.backs} times"))
    if seen.next:
        rows.append(("next", seen.next))
    return [render.heading(seen.context), render.grid(rows)]
