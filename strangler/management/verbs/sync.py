"""Verbs of the data plane: ``sync status|install|backfill|verify``, and ``uninstall``."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live

from strangler import conf
from strangler.control import forgetting, publish
from strangler.control.positions import context_named, position_of
from strangler.domain.stages import Side, Stage
from strangler.errors import Misuse, StranglerError
from strangler.management import render, screen
from strangler.management import streams as looks
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, Verb, verb
from strangler.management.verbs import backfill as backfills
from strangler.management.verbs import coverage, quarantine, stranded, verify
from strangler.sync import broken, install
from strangler.sync import status as stream_status
from strangler.sync.diagnosis import Around, Severity


def add(subparsers: Subparsers) -> None:
    group = subparsers.add_parser(
        "sync",
        help="The streams of rows: status, install, backfill, verify.",
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
    stranded.add(verbs)
    verify.add(verbs)
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
    console = screen.console()
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


def backfill(options: argparse.Namespace) -> Answer:
    context = context_named(options.context)
    return backfills.run(options, context, verify.streams_of(context))


def uninstall(options: argparse.Namespace) -> Answer:
    contexts = conf.estate().contexts
    if options.context and options.context not in contexts:
        raise Misuse(f"there is no context {options.context!r}; strangler.toml declares {', '.join(sorted(contexts))}")
    names = [options.context] if options.context else list(contexts)
    if conf.side() == Side.MONOLITH:
        for name in names:
            at = position_of(name)
            if at.stage is not Stage.MONOLITH:
                raise StranglerError(f"{name} is {at}; take it back first: strangler rollback {name} --to monolith")
            forgetting.check(name)
    install.uninstall(options.context)
    if conf.side() == Side.MONOLITH:
        for name in names:
            forgetting.forget(name)
        publish.publish_current()  # without the epochs that are gone with it
    what = options.context or "every context"
    return Answer(
        {"context": options.context, "uninstalled": True}, [f"capture, fence and streams of {what} are gone from this side"]
    )
