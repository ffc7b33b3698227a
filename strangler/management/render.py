"""How the verbs look: short, aligned, the same words as in the JSON, good without a terminal too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from strangler.control import receipts
from strangler.control.handover_rehearsal import STEPS
from strangler.control.models import Receipt
from strangler.control.status import Status
from strangler.domain.durations import about
from strangler.domain.gates import State, StreamSeen, Verdict
from strangler.domain.plan import Plan, names
from strangler.management.screen import OVERRIDDEN, SIGNS, grid, heading


def since(moment: str | None) -> str:
    if not moment:
        return ""
    return f"for {about((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())}"


def stream_line(seen: StreamSeen) -> str:
    state = "live" if seen.live else "off"
    behind = "" if seen.lag_ms is None else f", {seen.lag_ms:.0f} ms behind"
    quarantined = f", {seen.quarantined} in quarantine" if seen.quarantined else ""
    copied = ", backfill runs" if seen.backfilled is False else ""
    said = f"; it says: {seen.last_error}" if seen.last_error else ""
    return f"{state}{behind}, {seen.depth} waiting{quarantined}{copied}{said}"


def verdicts(listed: Iterable[Verdict]) -> Table:
    return grid([(_sign(verdict), verdict.gate, verdict.observed, verdict.threshold, _reason(verdict)) for verdict in listed])


def _sign(verdict: Verdict) -> str:
    return SIGNS[verdict.state] if verdict.overridden is None else OVERRIDDEN


def _reason(verdict: Verdict) -> str:
    said = verdict.overridden
    return verdict.reason if said is None else f"{verdict.reason}; overridden by {said['by']}: {said['why']}"


def status(seen: Status) -> list[RenderableType]:
    """One context, in full."""
    stage = f"{seen.stage} {seen.percent} %" if seen.percent else seen.stage
    rows = [("data", seen.data)]
    if seen.service:
        rows += [
            ("owner", f"the monolith says {seen.monolith_says}; the service says {seen.service_says}"),
            ("service", seen.service),
        ]
    for place, stream in enumerate(seen.streams):
        rows.append(("streams" if place == 0 else "", f"{stream.name}: {stream_line(stream)}"))
    rows += _running(seen)
    if seen.ramp and seen.ramp.is_active:
        rows.append(("ramp", str(seen.ramp)))
    if seen.next:
        rows.append(("next", seen.next))
    rows.append(("back", f"safe to roll back now: {'yes' if seen.safe_to_roll_back else 'no'}, because {seen.because}"))
    if seen.back:
        rows.append(("", seen.back))
    shown: list[RenderableType] = alarms([seen])
    shown += [
        heading(f"{seen.context} · {stage}") + f" {since(seen.since)}",
        Padding(escape(seen.sentence), (0, 0, 0, 2)),
        grid(rows),
    ]
    if seen.verdicts:
        shown += [heading("  gates of the next step"), verdicts(seen.verdicts)]
    return shown


def _running(seen: Status) -> list[tuple[str, str]]:
    operation = seen.operation
    if operation is None:
        return []
    holder = operation.holder if operation.alive else f"{operation.holder}, which is gone; the tick takes over"
    rows = [("running", f"{operation.what}, for {operation.seconds:.0f} s, held by {holder}")]
    return [*rows, ("", f"it says: {operation.error}")] if operation.error else rows


def _next(seen: Status) -> str:
    if seen.next is None:
        return f"nothing: {seen.blocked}"
    return f"{seen.next} (blocked: {seen.blocked})" if seen.blocked else seen.next


def alarms(listed: Iterable[Status]) -> list[RenderableType]:
    """What is broken or stuck comes before everything else."""
    return [Text(f"✗ {alarm}", style="bold red") for seen in listed for alarm in seen.alarms]


def overview(listed: Sequence[Status]) -> list[RenderableType]:
    """All contexts, a line each."""
    rows = [("context", "stage", "writes", "reads", "next")]
    for seen in listed:
        stage = f"{seen.stage} {seen.percent} %" if seen.percent else seen.stage
        rows.append((seen.context, stage, seen.writes, seen.reads, _next(seen) if seen.service else "–"))
    running = [f"running: {seen.operation.what}" for seen in listed if seen.operation]
    running += [f"ramp: {seen.context} {seen.ramp}" for seen in listed if seen.ramp and seen.ramp.is_active]
    return [*alarms(listed), grid(rows, indent=0), *map(escape, running)]


def plan(planned: Plan) -> list[RenderableType]:
    shown: list[RenderableType] = [heading(f"{planned.context}: {planned.at} → {planned.to}") + " (nothing was changed)"]
    shown.append(grid([(what, f"{now} → {after}") for what, now, after in planned.changes()]))
    if planned.exact:
        shown += [heading("  exactly"), grid([(change.what, f"{change.now} → {change.then}") for change in planned.exact])]
    shown += [heading("  gates"), verdicts(planned.verdicts)] if planned.verdicts else []
    shown.append(grid([("steps", names_of(planned.steps))]))
    if planned.then:
        shown.append(grid([("then", names(planned.then))]))
    return shown


def names_of(steps: Sequence[str]) -> str:
    return " → ".join(steps)


def receipt(given: Receipt) -> list[RenderableType]:
    sign = "[green]✓[/]" if given.outcome in ("done", "rehearsed") else "[red]✗[/]"
    pause = f", writes held {given.pause_ms:.0f} ms" if given.pause_ms is not None else ""
    taken = sum(given.steps_ms.values())
    line = f"{given.context}: {receipts.way(given)}, {given.outcome} in {taken / 1000:.1f} s{pause} (receipt {given.pk})"
    if given.outcome != "rehearsed":
        return [f"{sign} {escape(line)}"]
    steps = ", ".join(f"{step} {given.steps_ms[step]:.0f} ms" for step in STEPS if step in given.steps_ms)
    return [f"{sign} {escape(line)}", f"  {escape(steps)}"]


def receipt_table(listed: Sequence[Receipt]) -> list[RenderableType]:
    if not listed:
        return ["no receipts yet"]
    rows = [("receipt", "at", "context", "verb", "way", "outcome", "held", "who", "why")]
    for given in listed:
        held = f"{given.pause_ms:.0f} ms" if given.pause_ms is not None else "–"
        gone_over = [verdict["gate"] for verdict in given.verdicts if verdict.get("overridden")]
        why = (given.why or given.error) + (f" (in spite of {', '.join(gone_over)})" if gone_over else "")
        moment = given.at.strftime("%Y-%m-%d %H:%M:%S")
        rows.append((str(given.pk), moment, given.context, given.verb, receipts.way(given), given.outcome, held, given.who, why))
    return [grid(rows, indent=0)]


def receipt_whole(given: Receipt, now: str) -> list[RenderableType]:
    """One receipt in full. ``now``: where its context has gone since; empty where it is still there."""
    back = receipts.inverse(given)
    rows = [
        ("at", given.at.strftime("%Y-%m-%d %H:%M:%S")),
        ("who", given.who),
        ("why", given.why or "–"),
        ("outcome", given.outcome + (f": {given.error}" if given.error else "")),
        ("writes held", f"{given.pause_ms:.0f} ms" if given.pause_ms is not None else "–"),
        ("steps", ", ".join(f"{step} {ms:.0f} ms" for step, ms in given.steps_ms.items()) or "–"),
        ("proxies", ", ".join(f"{name} {table}" for name, table in given.proxies.items()) or "–"),
        ("operation", str(given.operation)),
        ("previous", given.previous),
        ("hash", given.hash),
        ("take it back", back.command or f"no command: {back.reason}"),
    ]
    rows += (
        [("", f"{given.context} is {now} by now: this goes back further than this receipt alone")] if now and back.command else []
    )
    shown: list[RenderableType] = [
        heading(f"receipt {given.pk} · {given.verb} {given.context} · {receipts.way(given)}"),
        grid(rows),
    ]
    judged = [Verdict(**{**said, "state": State(said["state"])}) for said in given.verdicts]
    return [*shown, heading("  gates"), verdicts(judged)] if judged else shown


def pairs(data: dict[str, Any]) -> list[RenderableType]:
    """Any flat answer."""
    return [grid([(name, _text(value)) for name, value in data.items()], indent=0)]


def _text(value: Any) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
