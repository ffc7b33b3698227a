"""What must hold at the end of a soak, each with what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.soak.journal import Journal, Write
from tests.soak.watch import Curve

MOST_EXPLAINED = 0.1
"""The share of failures that kills may explain: a proxy that lets more of them through does not do its work."""


@dataclass(frozen=True)
class Check:
    name: str
    seen: str
    holds: bool


def writes(noted: Iterable[Write], executed: Iterable[Mapping[str, Any]]) -> list[Check]:
    """Each acknowledged write once, each that was declared as not executed never, the rest at most once."""
    times = Counter(line["id"] for line in executed)
    wanted = {True: (1, 1), False: (0, 0), None: (0, 1)}
    wrong: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    count: Counter[bool | None] = Counter()
    for write in noted:
        least, most = wanted[write.acknowledged]
        count[write.acknowledged] += 1
        if not least <= times[write.id] <= most:
            wrong[write.acknowledged].append(f"{write.id} {times[write.id]}×")

    def seen(which: bool | None) -> str:
        return f"{count[which]:,}, wrong: {', '.join(wrong[which][:5]) or 'none'}"

    return [
        Check("acknowledged writes were executed once", seen(True), count[True] > 0 and not wrong[True]),
        Check("writes refused as not executed were not", seen(False), not wrong[False]),
        Check("writes whose answer was lost were executed at most once", seen(None), not wrong[None]),
    ]


def sides(executed: Iterable[Mapping[str, Any]], owners: Mapping[int, str]) -> Check:
    """By stamp and by epoch: whoever executed a write of payments owned it, and the stamp was not from the future."""
    count, wrong = 0, []
    for line in executed:
        if line["context"] != "payments":
            continue
        count += 1
        owner = owners.get(line["epoch"])
        if not (line["side"] == line["owner"] == owner and line["stamp"] <= line["epoch"]):
            wrong.append(f"{line['id']} at {line['side']}, owner {owner}, stamp {line['stamp']}, epoch {line['epoch']}")
    return Check(
        "no write was executed on the wrong side", f"{count:,}, wrong: {'; '.join(wrong[:3]) or 'none'}", count > 0 and not wrong
    )


def failures(journal: Journal) -> Check:
    """Those that a kill explains are told apart."""
    without, done = journal.unexcused, sum(journal.done.values())
    kinds = Counter(f"{failure.kind}: {failure.what}" for failure in without)
    worst = "; ".join(f"{count}× {what}" for what, count in kinds.most_common(3))
    excused = ", ".join(f"{count} by a killed {what}" for what, count in journal.excused.items()) or "none"
    seen = f"{done:,} done, {len(without)} failed without a reason{': ' + worst if worst else ''}; with one: {excused}"
    few = len(journal.failures) - len(without) <= MOST_EXPLAINED * done
    return Check("no request failed without a reason", seen, done > 0 and not without and few)


def memory(curve: Curve, allowed: float) -> Check:
    """``allowed``: megabytes a minute."""
    slope = 60 * curve.slope()
    low, high = (min(curve.values), max(curve.values)) if curve.values else (0.0, 0.0)
    seen = f"{slope:+.3f} MB/min over {len(curve.points)} points, {low:.1f} to {high:.1f} MB; allowed {allowed:g} MB/min"
    return Check("memory is flat", seen, len(curve.points) > 2 and slope <= allowed)


def nothing_left(name: str, values: Mapping[str, float]) -> Check:
    left = {what: value for what, value in values.items() if value}
    return Check(name, ", ".join(f"{what} {value:g}" for what, value in (left or values).items()), not left)


def at_most(name: str, after: float, before: float, more: float) -> Check:
    return Check(name, f"{before:g} before, {after:g} after; allowed {more:g} more", after <= before + more)
