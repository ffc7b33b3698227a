"""``strangler sync quarantine list|show|retry|discard``: the rows that could not be applied."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from rich.console import RenderableType

from strangler.control import discard as discarding
from strangler.control import receipts
from strangler.control.positions import context_named
from strangler.control.status import operator
from strangler.errors import Misuse
from strangler.management import render
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, Whole, verb
from strangler.sync import quarantine, wake
from strangler.sync.quarantine import Detail, Entry

SHOWN = 20
HEAD = ("stream", "collection", "key", "tries", "since", "", "error")


def add(subparsers: Subparsers) -> None:
    group = subparsers.add_parser(
        "quarantine",
        help="Rows that could not be applied: list, show, retry, discard.",
        description="Rows that the other side refused although everything before them had arrived.",
        epilog="example: strangler sync quarantine list",
    )
    verbs = group.add_subparsers(title="verbs", metavar="VERB", required=True)
    parser = verb(
        verbs,
        "list",
        listing,
        help="Every row in quarantine, the oldest first. Ends with 1 where one waits that nobody has discarded.",
        example="strangler sync quarantine list payments",
    )
    parser.add_argument("context", nargs="?", metavar="CONTEXT", help="all contexts without it")
    parser = verb(
        verbs,
        "show",
        show,
        help="One of them: the row on both sides, the error, and what waits behind it.",
        example="strangler sync quarantine show payments payments.Payment 4711",
    )
    _key(parser)
    parser = verb(
        verbs,
        "retry",
        retry,
        help="Send one key, a collection or a whole stream again, through the outbox.",
        example="strangler sync quarantine retry payments payments.Payment 4711",
    )
    _chosen(parser)
    parser = verb(
        verbs,
        "discard",
        discard,
        help="Let rows be, for a reason that is kept in a receipt. They stay known drift and hold back a hand-over.",
        example='strangler sync quarantine discard payments payments.Payment 4711 --reason "a test order of 2014"',
    )
    _chosen(parser)
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why they may stay behind; kept for ever")


def _key(parser: argparse.ArgumentParser) -> None:
    for name in ("stream", "collection", "key"):
        parser.add_argument(name, metavar=name.upper())


def _chosen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stream", metavar="STREAM")
    parser.add_argument("collection", nargs="?", metavar="COLLECTION")
    parser.add_argument("key", nargs="?", metavar="KEY")
    parser.add_argument("--all", action="store_true", help="every key of the stream, or of the collection")


def _choice(options: argparse.Namespace) -> tuple[str, str | None, str | None]:
    """A slip must not take more than was meant: more than one key is asked for by ``--all``."""
    if options.all == (options.key is not None):
        raise Misuse("give a COLLECTION and a KEY, or --all for every key of the stream or the collection")
    if options.key is not None:
        quarantine.get(options.stream, options.collection, options.key)
    return options.stream, options.collection, options.key


def _json(entry: Entry) -> dict[str, object]:
    return {**asdict(entry), "discarded": entry.discarded_at is not None}


def listing(options: argparse.Namespace) -> Answer:
    if options.context:
        context_named(options.context)
    found = [entry for entry in quarantine.listed() if options.context in (None, entry.context)]
    open_ = [entry for entry in found if entry.discarded_at is None]
    data = {"waiting": len(open_), "discarded": len(found) - len(open_), "rows": [_json(entry) for entry in found]}
    if not found:
        return Answer(data, ["✓ no row is in quarantine"])
    rows = [
        (
            entry.stream,
            entry.collection,
            entry.key,
            str(entry.attempts),
            entry.since.strftime("%m-%d %H:%M:%S"),
            "discarded" if entry.discarded_at else "waits",
            entry.error,
        )
        for entry in found[:SHOWN]
    ]
    shown: list[RenderableType] = [render.grid([HEAD, *rows], indent=0)]
    if len(found) > SHOWN:
        shown.append(f"and {len(found) - SHOWN:,} more; all of them: strangler sync quarantine list --json")
    one = (open_ or found)[0]
    shown += [
        Whole(render.escape(f"look at one:  strangler sync quarantine show {one.stream} {one.collection} '{one.key}'")),
        Whole(render.escape(f"once its cause is mended:  strangler sync quarantine retry {one.stream} --all")),
    ]
    return Answer(data, shown, FAILED if open_ else PASS)


def show(options: argparse.Namespace) -> Answer:
    seen = quarantine.show(options.stream, options.collection, options.key)
    data = {
        **_json(seen.entry),
        "row": json.loads(seen.row) if seen.row else None,
        "service_has": seen.other,
        "pointers_waiting": seen.waiting,
        "waiting_since": seen.waiting_since,
    }
    return Answer(data, _detail(seen))


def _detail(seen: Detail) -> list[RenderableType]:
    entry = seen.entry
    is_reverse = entry.kind == "reverse"
    here = "this copy has" if is_reverse else "the row is"
    state = f"discarded at {entry.discarded_at:%Y-%m-%d %H:%M:%S}" if entry.discarded_at else "waits"
    pointers = f"{seen.waiting}, since {seen.waiting_since:%H:%M:%S}" if seen.waiting else "none"
    rows = [
        ("state", f"{state}; in quarantine since {entry.since:%Y-%m-%d %H:%M:%S}, given up {entry.attempts} times"),
        ("error", entry.error),
        (here, seen.row or ("no such row" if is_reverse else "gone from its table: a retry tells of the deletion")),
        (
            "the service has",
            seen.other + (", which is the one to apply here" if is_reverse and seen.other == "another row" else ""),
        ),
        ("newer changes waiting", pointers),
    ]
    where = f"{entry.stream} {entry.collection} '{entry.key}'"
    return [
        render.heading(f"{entry.stream} · {entry.collection}/{entry.key}"),
        render.grid(rows),
        "mend the cause (the row, or what refuses it), then:",
        Whole(render.escape(f"  strangler sync quarantine retry {where}")),
        "or let it be; it holds back a hand-over all the same, until it is mended or deleted at its owner:",
        Whole(render.escape(f'  strangler sync quarantine discard {where} --reason "…"')),
    ]


def retry(options: argparse.Namespace) -> Answer:
    stream, collection, key = _choice(options)
    count = quarantine.retry(stream, collection, key)
    wake.wake(stream)
    line = f"{count:,} keys are sent again" if count != 1 else "1 key is sent again"
    after = "; look afterwards: strangler sync quarantine list" if count else "; nothing of that is in quarantine"
    return Answer({"stream": stream, "retried": count}, [line + after])


def discard(options: argparse.Namespace) -> Answer:
    stream, collection, key = _choice(options)
    receipt, count = discarding.discard(stream, collection, key, who=operator(), why=options.reason)
    lines = [
        f"{count:,} rows are let be (receipt {receipt.pk}); the stream is fresh again without them",
        "they differ between the sides until they are mended or deleted, and hold back a hand-over until then",
    ]
    return Answer({"stream": stream, "discarded": count, "receipt": receipts.to_json(receipt)}, lines)
