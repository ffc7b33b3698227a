"""``strangler receipts [list|show|verify|export]``: the records of past transitions, and whether they are as written."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import RenderableType

from strangler.control import audit, positions
from strangler.control import receipts as recorded
from strangler.domain.chain import Walk
from strangler.management import render
from strangler.management.answer import FAILED, PASS, Answer, Line, Subparsers, Whole, verb


def add(subparsers: Subparsers) -> None:
    group = subparsers.add_parser(
        "receipts",
        help="The records of past transitions: list (also without a word), show, verify, export.",
        description="The records of past transitions. Without a verb they are listed: strangler receipts [CONTEXT].",
        epilog="example: strangler receipts payments --json",
    )
    verbs = group.add_subparsers(title="verbs", metavar="VERB", required=True)
    parser = verb(
        verbs, "list", listing, help="Past transitions, the newest last.", example="strangler receipts list payments --limit 5"
    )
    parser.add_argument("context", nargs="?", metavar="CONTEXT")
    parser.add_argument("--limit", type=int, default=20, help="how many (default 20)")
    parser = verb(
        verbs,
        "show",
        show,
        help="One of them in full: who, why, every gate, its place in the chain, and the command that takes it back.",
        example="strangler receipts show 7",
    )
    parser.add_argument("id", type=int, metavar="ID")
    parser = verb(
        verbs,
        "verify",
        verify,
        help="Walk the chain of hashes. Ends with 1 and names the first receipt that was changed, is missing or was cut off.",
        example="strangler receipts verify --against receipts.jsonl",
        anywhere=True,
    )
    parser.add_argument("--file", metavar="FILE", help="judge an export instead, without the database")
    parser.add_argument("--against", metavar="FILE", help="an export that was kept elsewhere: tells which fields were changed")
    parser.add_argument("--head", action="append", default=[], metavar="NUMBER:HASH", help="a head that somebody wrote down")
    parser = verb(
        verbs,
        "export",
        export,
        help="Every receipt as it was sealed, one JSON object a line, to be kept where this database's owner can't write.",
        example="strangler receipts export > receipts.jsonl",
    )
    parser.add_argument(
        "--since", default="", metavar="WHEN", help="a day, a moment, or the number of the last one that you have"
    )


def listing(options: argparse.Namespace) -> Answer:
    if options.context:
        positions.context_named(options.context)
    listed = recorded.listed(options.context, max(1, options.limit))
    return Answer({"receipts": [recorded.to_json(receipt) for receipt in listed]}, render.receipt_table(listed))


def show(options: argparse.Namespace) -> Answer:
    receipt = recorded.numbered(options.id)
    at, to = positions.position_of(receipt.context), recorded.ends(receipt)[1]
    return Answer(recorded.to_json(receipt), render.receipt_whole(receipt, "" if at == to else str(at)))


def verify(options: argparse.Namespace) -> Answer:
    heads = [audit.head_of(text) for text in options.head]
    if options.file:
        return _told(audit.verify_file(audit.read(options.file), heads), options.file)
    return _told(audit.verify(heads, audit.read(options.against) if options.against else None), "this database")


def _told(walked: Walk, what: str) -> Answer:
    broken, head = walked.broken, f"{walked.head.id}:{walked.head.hash}"
    data: dict[str, Any] = {
        "receipts": walked.count,
        "first": walked.first,
        "head": head,
        "broken": {"id": broken.id, "fault": str(broken.fault), "said": broken.said} if broken else None,
    }
    if broken:
        return Answer(data, [f"[red]✗[/] {render.escape(broken.said)}"], FAILED)
    since = f", from receipt {walked.first} on" if walked.first > 1 else ""
    shown: list[RenderableType] = [
        f"[green]✓[/] the {walked.count:,} receipts of {render.escape(what)} are as they were written{since}"
    ]
    shown += [Whole(f"  head {head}")] if walked.count else []
    return Answer(data, shown, PASS)


def export(options: argparse.Namespace) -> Answer:
    listed = list(audit.links(options.since))
    data = [{**link.content, "previous": link.previous, "hash": link.hash} for link in listed]
    return Answer({"receipts": data}, [Line(audit.line(link)) for link in listed])
