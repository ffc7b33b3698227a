"""The baseline's file held against the project as it is now: for the verb, the system check and the pytest plugin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from strangler import conf
from strangler.analysis.collect import Progress, collect, silent
from strangler.domain.coupling import ratchet
from strangler.domain.coupling.edges import Edge, Skipped
from strangler.domain.coupling.ratchet import Comparison, Entry
from strangler.errors import Misconfigured, Misuse

DEFAULT = "strangler-ratchet.txt"
UPDATE = "strangler ratchet update --owner NAME --reason TEXT"


@dataclass(frozen=True)
class Held:
    """``skipped``: what could not be looked at, in which something new may hide."""

    path: Path
    entries: tuple[Entry, ...]
    compared: Comparison
    skipped: tuple[Skipped, ...]


def path(given: Path | None = None) -> Path:
    return given or Path(conf.setting("RATCHET") or DEFAULT)


def hold(
    file: Path,
    *,
    recorded: Path | None = None,
    database: bool = False,
    may_be_new: bool = False,
    today: date | None = None,
    progress: Progress = silent,
) -> Held:
    """Without ``recorded`` no runtime kind is looked for, without ``database`` none that depends on its content.

    Raises ``Misconfigured`` for a file that is not there, unless it ``may_be_new``, or has a broken line, and ``Misuse`` where
    the project can't be looked at.
    """
    entries = _read(file, may_be_new)
    parts = ("static", "live", *(("runtime",) if recorded else ()))
    ledger = collect(only=parts, recorded=recorded, database=database, progress=progress)
    blind = [part for part in parts if not ledger.asked(part)]
    if blind:
        why = "; ".join(one.why for one in ledger.skipped if one.what in ("part", "ledger", "project")) or "it was empty"
        raise Misuse(f"the {' and the '.join(blind)} part saw nothing ({why}), so nothing can be compared: strangler analyze")
    broken = {one.where for one in ledger.skipped}
    unseen = ratchet.unseen_unless(recorded=bool(recorded), database=database, read=lambda name: name not in broken)
    compared = ratchet.compare(entries, ledger.edges, today=today or date.today(), unseen=unseen)
    return Held(file, entries, compared, ledger.skipped)


def _read(file: Path, may_be_new: bool) -> tuple[Entry, ...]:
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        if may_be_new:
            return ()
        raise Misconfigured(f"there is no {file}; make it once on your machine, and commit it: {UPDATE}") from None
    except OSError as error:
        raise Misconfigured(f"{file} can not be read: {error.strerror}") from error
    entries, problems = ratchet.parse(text)
    if problems:
        said = "; ".join(f"line {one.line} {one.what}" for one in problems)
        raise Misconfigured(f"{file} is broken: {said}. Mend that by hand")
    return entries


def update(held: Held, new: Entry) -> tuple[Entry, ...]:
    """Writes the file, whole or not at all; gives what it has now. Raises ``Misuse``."""
    if is_ci():
        raise Misuse(
            "CI is set: a baseline that a build makes would let everything through."
            f" Run it on your machine, and commit {held.path}: {UPDATE}"
        )
    if held.compared.new and new.owner == ratchet.MISSING:
        count = len(held.compared.new)
        raise Misuse(f"{count} new crossing{'s' if count > 1 else ''}, and somebody has to own what comes in: {UPDATE}")
    after = ratchet.updated(held.entries, held.compared, new)
    partial = held.path.with_name(f"{held.path.name}.{os.getpid()}.part")
    try:
        held.path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(ratchet.render(after), encoding="utf-8", errors="surrogateescape", newline="\n")
        partial.replace(held.path)
    except OSError as error:
        raise Misuse(f"{held.path} can not be written: {error.strerror}") from error
    return after


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", *conf.OFF)


def complaints(held: Held) -> Iterator[tuple[str, str]]:
    """What keeps it from holding: (where and what, what to do)."""
    for edge in held.compared.new:
        remedy = f"take it out again (strangler analyze {edge.target}), or own it: {UPDATE}"
        yield f"new: {crossing(edge)}", remedy
    for entry in held.compared.stale:
        yield f"stale: {held.path}:{entry.line}: {named(entry)}", "nothing stands for it any more: strangler ratchet update"
    for entry in held.compared.expired:
        yield f"expired on {entry.until}: {held.path}:{entry.line}: {named(entry)}", f"{entry.owner} said: {entry.reason}"


def crossing(edge: Edge) -> str:
    line = next((proof.line for proof in edge.evidence if proof.line and edge.where.startswith(f"{proof.file}:")), 0)
    place = edge.where.replace(":", f":{line}:", 1) if line else edge.where
    return f"{place} {edge.kind} {edge.source} → {edge.target}: {edge.what}"


def named(entry: Entry) -> str:
    kind, source, target, where, what = entry.key
    return f"{where} {kind} {source} → {target}: {what}"
