"""``strangler rehearsal record|stop|list|run``: real writes, recorded for a while and rehearsed against the service."""

from __future__ import annotations

import argparse

from rich.console import RenderableType

from strangler.control import write_rehearsal as rehearsing
from strangler.control.positions import context_named
from strangler.control.status import operator
from strangler.control.write_rehearsal import Rehearsed
from strangler.domain.parity import masking
from strangler.management import render
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, Verb, verb
from strangler.sync.recording import store

SHOWN = 3  # values of a field, of as many writes


def add(subparsers: Subparsers) -> None:
    group = subparsers.add_parser(
        "rehearsal",
        help="Real writes, recorded, and rehearsed against the service without effect: record, stop, list, run.",
        description="Writes are not copied to the service as reads are. They are recorded, and rehearsed there without effect.",
        epilog="example: strangler rehearsal run payments   (your own tests behind a fence: strangler rehearse)",
    )
    verbs = group.add_subparsers(title="verbs", metavar="VERB", required=True)
    parser = _of_context(
        verbs,
        "record",
        record,
        f"Record a share of the context's writes for a while; the last {store.MOST_ROWS} are kept, for a day.",
        "strangler rehearsal record payments --for 10m --share 0.1",
    )
    parser.add_argument("--for", default="10m", dest="lasting", metavar="TIME", help="how long: 10m (default), 24h at most")
    parser.add_argument("--share", type=float, default=1.0, help="of the writes, up to 1 (default 1)")
    parser = _of_context(
        verbs, "stop", stop, "Record no more, and take the triggers away.", "strangler rehearsal stop payments --forget"
    )
    parser.add_argument("--forget", action="store_true", help="delete what was recorded too")
    parser = _of_context(verbs, "list", listing, "The writes that are recorded.", "strangler rehearsal list payments")
    parser.add_argument("--last", type=int, default=20, metavar="N", help="how many (default 20)")
    parser = _of_context(
        verbs,
        "run",
        run,
        "Rehearse recorded writes: answers and rows compared, by endpoint and field. Ends with 1 where one differs.",
        "strangler rehearsal run payments --last 100",
    )
    parser.add_argument("--last", type=int, default=100, metavar="N", help="how many (default 100)")


def _of_context(subparsers: Subparsers, name: str, run: Verb, help: str, example: str) -> argparse.ArgumentParser:
    parser = verb(subparsers, name, run, help=help, example=example)
    parser.add_argument("context", metavar="CONTEXT")
    return parser


def record(options: argparse.Namespace) -> Answer:
    context_named(options.context)
    row = store.start(options.context, share=options.share, lasting=rehearsing.lasting(options.lasting), who=operator())
    until = row.until.isoformat(timespec="seconds")
    line = (
        f"{row.share:.0%} of the writes of {row.context} are recorded until {until}; then: strangler rehearsal run {row.context}"
    )
    return Answer({"context": row.context, "share": row.share, "until": until}, [render.escape(line)])


def stop(options: argparse.Namespace) -> Answer:
    context_named(options.context)
    kept = store.stop(options.context, forget=options.forget)
    return Answer(
        {"context": options.context, "kept": kept}, [f"no write of {options.context} is recorded any more; {kept} are kept"]
    )


def listing(options: argparse.Namespace) -> Answer:
    context_named(options.context)
    writes = store.last(options.context, max(1, options.last))
    data = [
        {"id": write.pk, "at": write.at, "method": write.method, "target": masking.url(write.target), "status": write.status}
        for write in writes
    ]
    rows = [("write", "at", "", "status"), *(_line(write) for write in writes)]
    return Answer({"writes": data}, [render.grid(rows, indent=0)] if writes else [f"no write of {options.context} is recorded"])


def _line(write: store.RecordedWrite) -> tuple[str, str, str, str]:
    at = write.at.strftime("%Y-%m-%d %H:%M:%S")
    return str(write.pk), at, f"{write.method} {masking.url(write.target)}", str(write.status)


def run(options: argparse.Namespace) -> Answer:
    context_named(options.context)
    found = rehearsing.run(options.context, max(1, options.last))
    counts = {
        "rehearsed": len(found),
        "same": sum(one.same for one in found),
        "not_compared": sum(bool(one.cannot) for one in found),
    }
    data = {"context": options.context, **counts, "writes": [one.to_json() for one in found]}
    shown: list[RenderableType] = []
    for endpoint, ones in rehearsing.by_endpoint(found).items():
        shown += _of_endpoint(endpoint, ones)
    differing = len(found) - counts["same"] - counts["not_compared"]
    shown.append(f"{len(found)} writes rehearsed: {counts['same']} alike, {differing} not, {counts['not_compared']} not compared")
    return Answer(data, shown, PASS if counts["same"] == len(found) else FAILED)


def _of_endpoint(endpoint: str, ones: list[Rehearsed]) -> list[RenderableType]:
    alike = sum(one.same for one in ones)
    sign = "[green]✓[/]" if alike == len(ones) else "[red]✗[/]"
    lines: list[RenderableType] = [f"{sign} {render.escape(endpoint)}: {alike} of {len(ones)} alike"]
    fields: dict[str, list[tuple[str, str]]] = {}
    for one in ones:
        for difference in one.differences:
            told = " → ".join("–" if side is None else side for side in (difference.old, difference.new))
            fields.setdefault(difference.field, []).append((f"write {one.id}", told))
        if one.cannot:
            fields.setdefault("not compared", []).append((f"write {one.id}", one.cannot))
    rows = [
        (field if place == 0 else "", f"{len(told)}×" if place == 0 else "", *example)
        for field, told in fields.items()
        for place, example in enumerate(told[:SHOWN])
    ]
    return [*lines, render.grid(rows, indent=4)] if rows else lines
