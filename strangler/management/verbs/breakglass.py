"""``strangler rollback CONTEXT --force-dead-service``: break-glass, with a phrase that a person types (P22)."""

from __future__ import annotations

import argparse
import sys

from rich.console import RenderableType

from strangler.control import engine, receipts
from strangler.control.breakglass import TO, Emergency
from strangler.control.saga import Progress
from strangler.control.status import operator
from strangler.errors import Misuse
from strangler.management import render, screen
from strangler.management.answer import FAILED, PASS, Answer, Whole


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force-dead-service",
        action="store_true",
        help="break-glass: from a dead service to mirror; may lose what it acknowledged last",
    )
    parser.add_argument("--confirm", metavar="PHRASE", help="for scripts: the phrase that break-glass asks for")


def run(options: argparse.Namespace, progress: Progress) -> Answer:
    if options.rehearse or options.max_pause or options.percent is not None or options.to not in (None, str(TO.stage)):
        raise Misuse(f"--force-dead-service goes to {TO} at once; it takes --confirm, --why and --dry-run alone")
    seen = engine.emergency(options.context)
    if options.dry_run:
        return Answer(seen.to_json(), _shown(seen), PASS if seen.dead.passes else FAILED)
    phrase = options.confirm
    if phrase is None and seen.dead.passes:
        phrase = _asked(seen, silent=options.json)
    receipt = engine.break_glass(options.context, confirm=phrase or "", who=operator(), why=options.why, progress=progress)
    after = [
        f"the monolith owns {seen.context} now; what the service acknowledged last is collected when it answers again:",
        Whole(f"  strangler sync stranded {seen.context}"),
    ]
    return Answer({"receipts": [receipts.to_json(receipt)]}, [*render.receipt(receipt), *after])


def _shown(seen: Emergency) -> list[RenderableType]:
    rows = [
        ("owner", f"service (epoch {seen.epoch}) → monolith, at a higher epoch, without the service's word"),
        ("way", f"{seen.at} → {TO}: reads and writes from the monolith"),
        ("service", seen.dead.reason),
        ("loss", seen.loss.sentence),
    ]
    rows += [("ends", seen.supersedes)] if seen.supersedes else []
    shown: list[RenderableType] = [render.heading(f"{seen.context}: break-glass"), render.grid(rows)]
    if seen.dead.passes:
        shown.append(Whole(f'to go on: strangler rollback {seen.context} --force-dead-service --confirm "{seen.phrase}"'))
    return shown


def _asked(seen: Emergency, *, silent: bool) -> str:
    """What a person types at a terminal. Raises ``Misuse`` where nobody can be asked."""
    if silent or not sys.stdin.isatty():
        raise Misuse(f'break-glass may lose writes: {seen.loss.sentence}. To go on say: --confirm "{seen.phrase}"')
    console = screen.console(stderr=True)
    for part in _shown(seen):
        console.print(part, soft_wrap=isinstance(part, Whole))
    return console.input(f"type [bold]{seen.phrase}[/] to go on: ")
