"""``sync verify``: both sides row by row, which fields differ, and with ``--repair`` until they don't."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from rich.console import RenderableType

from strangler.control import mending
from strangler.control.positions import context_named, position_of
from strangler.domain.estate import Context
from strangler.domain.stages import Side, Stage
from strangler.errors import Misuse
from strangler.management import render
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, verb
from strangler.sync import fields
from strangler.sync.comparison import DriftReport
from strangler.sync.drift import Progress

SHOWN, LONGEST = 20, 60  # rows, and characters of a value
FIELDS_OF = 200  # rows


def add(verbs: Subparsers) -> None:
    parser = verb(
        verbs,
        "verify",
        verify,
        help="Compare both sides row by row, by digests; the rows that differ and their fields.",
        example="strangler sync verify payments --repair",
    )
    parser.add_argument("context", metavar="CONTEXT")
    parser.add_argument("--repair", action="store_true", help="send the rows that differ again, until both sides are equal")
    parser.add_argument("--values", action="store_true", help="show what the fields hold on both sides; it may be secret")


def streams_of(context: Context) -> list[str]:
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


def verify(options: argparse.Namespace) -> Answer:
    sent, reports = 0, []
    for name in streams_of(context_named(options.context)):
        with _Terminal(name) as terminal:
            if options.repair:
                mended, report = mending.mend(name, terminal.told)
                sent += mended
            else:
                report = mending.verify(name, terminal.told)
        reports.append(report)
    differing = [row for report in reports for row in _rows(report, with_values=options.values)]
    found: dict[str, Any] = {
        "rows_checked": sum(report.rows_checked for report in reports),
        "in_flight": sum(report.in_flight for report in reports),
        "seconds": round(sum(report.seconds for report in reports), 3),
        "is_cut": any(report.is_cut for report in reports),
        "differing": differing,
    }
    if options.repair:
        found["repaired"] = sent
    return Answer(found, _shown(options, found), FAILED if differing else PASS)


def _shown(options: argparse.Namespace, found: dict[str, Any]) -> list[RenderableType]:
    differing, more = found["differing"], "at least " if found["is_cut"] else ""
    line = f"{found['rows_checked']:,} rows compared, {more}{len(differing)} differ, {found['in_flight']} in flight"
    if options.repair:
        line = f"{found['repaired']} rows sent again; {line}"
    lines: list[RenderableType] = [line]
    if not differing:
        return lines
    lines.append(render.grid([(row["collection"], row["key"] or "–", row["kind"], _told(row)) for row in differing[:SHOWN]]))
    if len(differing) > SHOWN:
        lines.append(f"  and {len(differing) - SHOWN:,} more; all of them: strangler sync verify {options.context} --json")
    if options.repair:
        lines.append(f"these remain; why, tells: strangler sync status; all rows anew: strangler sync backfill {options.context}")
    else:
        lines.append(f"mend them: strangler sync verify {options.context} --repair")
        if not options.values and any(row["fields"] for row in differing):
            lines.append(f"what they hold: strangler sync verify {options.context} --values")
    return lines


def _rows(report: DriftReport, *, with_values: bool) -> list[dict[str, Any]]:
    """``fields`` null: the service doesn't tell its rows, or there are too many to look at each."""
    known = fields.of(report, FIELDS_OF) if report.differing else {}
    listed = []
    for collection, key, kind in report.differing:
        unlike = known.get((collection, key))
        listed.append(
            {
                "stream": report.stream,
                "collection": collection,
                "key": key,
                "kind": kind,
                "fields": None if unlike is None else [_field(field, with_values) for field in unlike],
            }
        )
    return listed


def _field(field: fields.Field, with_values: bool) -> dict[str, str | None]:
    values = {"source": field.source, "destination": field.destination} if with_values else {}
    return {"name": field.name, **values}


def _told(row: dict[str, Any]) -> str:
    if row["fields"] is None:
        return ""
    if not row["fields"]:
        return "equal by now"
    return ", ".join(
        f"{field['name']}: {_short(field['source'])} → {_short(field['destination'])}" if "source" in field else field["name"]
        for field in row["fields"]
    )


def _short(text: str | None) -> str:
    if text is None:
        return "NULL"
    shown = repr(text[:LONGEST])[1:-1]
    return shown + "…" if len(text) > LONGEST else shown


class _Terminal:
    """One line that shows how far a check is, where somebody looks; gone when it ends."""

    def __init__(self, stream: str) -> None:
        self.stream, self.told = stream, self._tell if sys.stderr.isatty() else None
        self._width = 0

    told: Callable[[Progress], None] | None

    def __enter__(self) -> _Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._width:
            self._write("")

    def _tell(self, progress: Progress) -> None:
        share = f" of about {progress.total:,}" if progress.total >= progress.rows else ""
        left = "" if progress.eta_s is None else f", {progress.eta_s:.0f} s left"
        at = f"{self.stream}: {progress.collection} {progress.rows:,} rows{share}, {progress.rate:,.0f} rows/s{left}"
        self._write(at)

    def _write(self, text: str) -> None:
        print(f"\r{text.ljust(self._width)}" + ("" if text else "\r"), end="", file=sys.stderr, flush=True)
        self._width = len(text)
