"""Verbs of the data plane: ``sync status|install|backfill|verify|repair``, and ``uninstall``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live

from strangler import conf
from strangler.control import publish
from strangler.control.engine import context_named, position_of
from strangler.domain.estate import Context
from strangler.domain.stages import Side, Stage
from strangler.errors import Misuse, StranglerError
from strangler.management import render
from strangler.management import streams as looks
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, Verb, verb
from strangler.management.verbs import backfill as backfills
from strangler.management.verbs import coverage, quarantine
from strangler.sync import broken, drift, install
from strangler.sync import status as stream_status
from strangler.sync.diagnosis import Around, Severity


def add(subparsers: Subparsers) -> None:
    group = subparsers.add_parser(
        "sync",
        help="The streams of rows: status, install, backfill, verify, repair.",
        description="The streams of rows between the sides.",
        epilog="example: strangler sync status",
    )
    verbs = group.add_subparsers(title="verbs", metavar="VERB", required=True)
    parser = verb(
        verbs,
        "status",
        status,
        help="Every stream, the worst first: state, depth, lag, refused rows, backfill, last check, and why it waits. "
        "Ends with 1 where one is broken or stuck.",
        example="strangler sync status --watch",
        anywhere=True,
    )
    parser.add_argument("--watch", action="store_true", help="look again every second, until Ctrl-C")
    parser = _of_context(
        verbs,
        "install",
        installed,
        "Install capture and fence on this side.",
        "strangler sync install payments --sql > install.sql",
        anywhere=True,
    )
    parser.add_argument("--sql", action="store_true", help="print the statements for a DBA instead of running them")
    parser = _of_context(
        verbs,
        "backfill",
        backfill,
        "Send every mirrored row again, and watch until it is through. Also brings a broken stream back.",
        "strangler sync backfill payments",
    )
    backfills.arguments(parser)
    quarantine.add(verbs)
    _of_context(verbs, "verify", verify, "Compare both sides row by row, by digests.", "strangler sync verify payments")
    _of_context(verbs, "repair", repair, "Compare, and send the rows that differ again.", "strangler sync repair payments")
    coverage.add(verbs)
    parser = verb(
        subparsers,
        "uninstall",
        uninstall,
        help="Take capture, fence and streams out of this database; without a context those of every one.",
        example="strangler uninstall payments",
        anywhere=True,
    )
    parser.add_argument("context", nargs="?", metavar="CONTEXT")


def _of_context(
    subparsers: Subparsers, name: str, run: Verb, help: str, example: str, anywhere: bool = False
) -> argparse.ArgumentParser:
    parser = verb(subparsers, name, run, help=help, example=example, anywhere=anywhere)
    parser.add_argument("context", metavar="CONTEXT")
    return parser


def status(options: argparse.Namespace) -> Answer:
    if options.watch:
        return _watch(options)
    listed, shown = _look()
    data = {"streams": [_json(stream) for stream in listed]}
    is_bad = any(stream.finding.severity is Severity.BAD for stream in listed)
    return Answer(data, shown, FAILED if is_bad else PASS)


def _json(stream: stream_status.StreamStatus) -> dict[str, Any]:
    return {**asdict(stream), "finding": {**asdict(stream.finding), "severity": stream.finding.severity.name.lower()}}


def _look() -> tuple[list[stream_status.StreamStatus], list[RenderableType]]:
    around = Around()
    listed = stream_status.streams(around=around)
    if not listed:
        return [], ["no stream is installed; the first step of a context is: strangler advance CONTEXT --to mirror"]
    wrong = [f"{around.redis}: nothing is woken at commit, and no read counts as fresh"] if around.redis else []
    return listed, looks.table(listed, wrong)


def _watch(options: argparse.Namespace) -> Answer:
    console = render.console()
    if options.json or not console.is_terminal:
        raise Misuse("--watch is for a terminal; for programs: strangler sync status --json")
    try:
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                live.update(Group(*_look()[1]), refresh=True)
                time.sleep(1)
    except KeyboardInterrupt:
        return Answer({}, _look()[1])


def installed(options: argparse.Namespace) -> Answer:
    service = conf.side() == Side.SERVICE
    if not service:
        context_named(options.context)
    if options.sql:
        lines = [str(line).rstrip().rstrip(";") + ";" for line in install.statements(options.context)]
        return Answer({"statements": lines}, [render.escape(line) for line in lines])
    (install.install_replica if service else install.install)(options.context)
    if service:
        broken.open_feed(options.context)
    return Answer(
        {"context": options.context, "side": conf.side(), "installed": True},
        [f"capture and fence of {options.context} are installed on this side ({conf.side()})", *_still_broken(options.context)],
    )


def _still_broken(context: str) -> list[str]:
    """Installing alone does not bring a stream back that was given up: what it has missed would stay missing."""
    names = [stream.name for stream in stream_status.streams(context) if stream.state == "broken"]
    return [f"{', '.join(names)}: broken still; bring it back: strangler sync backfill {context}"] if names else []


def _streams(context: Context) -> list[str]:
    """The streams that run for a context where it stands."""
    at = position_of(context.name)
    if at.stage is Stage.MONOLITH:
        raise Misuse(
            f"{context.name} is not mirrored in stage monolith; begin with: strangler advance {context.name} --to mirror"
        )
    if at.stage is Stage.RETIRED:
        raise Misuse(f"{context.name} is retired: its rows are on the service alone")
    own = context.reverse_stream if at.stage.owner is Side.SERVICE else context.mirror_stream
    return [own, *([context.copies_stream] if context.read_copies else [])]


def backfill(options: argparse.Namespace) -> Answer:
    context = context_named(options.context)
    return backfills.run(options, context, _streams(context))


def _check(context: Context) -> list[tuple[str, Any]]:
    return [(name, drift.check(name)) for name in _streams(context)]


def _found(checks: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    checks = list(checks)
    return {
        "rows_checked": sum(report.rows_checked for _, report in checks),
        "in_flight": sum(report.in_flight for _, report in checks),
        "differing": [
            {"stream": name, "collection": collection, "key": key, "kind": str(kind)}
            for name, report in checks
            for collection, key, kind in report.differing
        ],
    }


def verify(options: argparse.Namespace) -> Answer:
    found = _found(_check(context_named(options.context)))
    differing = found["differing"]
    line = f"{found['rows_checked']:,} rows compared, {len(differing)} differ, {found['in_flight']} in flight"
    rows = [(row["collection"], row["key"] or "–", row["kind"]) for row in differing[:20]]
    shown: list[RenderableType] = [line]
    if rows:
        shown += [render.grid(rows), f"mend them: strangler sync repair {options.context}"]
    return Answer(found, shown, FAILED if differing else PASS)


def repair(options: argparse.Namespace) -> Answer:
    checks = _check(context_named(options.context))
    for _, report in checks:
        if report.differing:
            drift.repair(report)
    found = _found(checks)
    count = len(found["differing"])
    line = (
        f"{count} rows are sent again; look afterwards: strangler sync verify {options.context}" if count else "nothing differs"
    )
    return Answer({**found, "repaired": count}, [line])


def uninstall(options: argparse.Namespace) -> Answer:
    contexts = conf.estate().contexts
    if options.context and options.context not in contexts:
        raise Misuse(f"there is no context {options.context!r}; strangler.toml declares {', '.join(sorted(contexts))}")
    if conf.side() == Side.MONOLITH:
        for name in [options.context] if options.context else contexts:
            at = position_of(name)
            if at.stage is not Stage.MONOLITH:
                raise StranglerError(f"{name} is {at}; take it back first: strangler rollback {name} --to monolith")
    install.uninstall(options.context)
    if conf.side() == Side.MONOLITH:
        publish.publish_current()  # without the epochs that are gone with it
    what = options.context or "every context"
    return Answer(
        {"context": options.context, "uninstalled": True}, [f"capture, fence and streams of {what} are gone from this side"]
    )
