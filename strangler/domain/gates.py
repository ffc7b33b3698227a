"""Gates: small pure judgements over observations. Each gives a ``Verdict``; not enough data is ``unknown``, never green.

The observations are gathered elsewhere (``strangler.control.observe``); CLI, console, receipts and tests show the same object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from strangler.domain.durations import span
from strangler.domain.usage import Recording, Use


class State(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """What a gate found. ``observed`` and ``threshold`` are shown as they stand; ``reason`` is one plain sentence.

    ``overridden``: who lets the transition go on all the same, and why (``by``, ``why``). The state stays what it was.
    """

    gate: str
    state: State
    observed: str
    threshold: str
    reason: str
    overridden: Mapping[str, str] | None = None

    @property
    def passes(self) -> bool:
        return self.state is State.PASS

    @property
    def holds(self) -> bool:
        """Whether it keeps the transition from being made."""
        return not self.passes and self.overridden is None

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        return f"{self.gate}: {self.reason}"


@dataclass(frozen=True)
class StreamSeen:
    """What was observed of a stream. Times are milliseconds; None is "not known yet"."""

    name: str
    live: bool
    depth: int = 0
    lag_ms: float | None = None
    oldest_ms: float = 0.0
    quarantined: int = 0
    discarded: int = 0  # of the quarantined
    marker: int = 0
    relayed: int = 0
    backfilled: bool | None = None
    last_error: str = ""


@dataclass(frozen=True)
class DriftSeen:
    """The last full check of a stream: rows that differed, and its age in seconds; None where there was none."""

    stream: str
    differing: int | None
    age_s: float | None


@dataclass(frozen=True)
class RehearsalSeen:
    """The last ``strangler rehearse`` of a context. ``tests`` ran, ``refused`` of them met the fence. ``head``: the commit."""

    clean: bool
    age_s: float
    tests: int
    refused: int
    head: str = ""


@dataclass(frozen=True)
class ServedSeen:
    """Reads of a context that one side answered. ``times``: a histogram of their seconds with the upper ``bounds``.

    ``failed``: answered with 5xx, or not at all. ``per_s``: reads a second, lately. ``earlier``: seen before the window, because
    in it there were too few.
    """

    requests: int = 0
    failed: int = 0
    times: tuple[int, ...] = ()
    bounds: tuple[float, ...] = ()
    per_s: float = 0.0
    window_s: float = 600.0
    earlier: bool = False


def closed(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Those that hold a transition back: everything that isn't a pass and wasn't overridden."""
    return [verdict for verdict in verdicts if verdict.holds]


def overridden(verdicts: Iterable[Verdict], names: Iterable[str], *, by: str, why: str) -> list[Verdict]:
    """The same verdicts; those of ``names`` that do not pass say for ever who went on in spite of them."""
    chosen, said = frozenset(names), {"by": by, "why": why}
    return [
        replace(verdict, overridden=said) if verdict.gate in chosen and not verdict.passes else verdict for verdict in verdicts
    ]


@dataclass(frozen=True)
class _Gate:
    name: str
    threshold: str

    def passes(self, observed: str, reason: str) -> Verdict:
        return Verdict(self.name, State.PASS, observed, self.threshold, reason)

    def fails(self, observed: str, reason: str) -> Verdict:
        return Verdict(self.name, State.FAIL, observed, self.threshold, reason)

    def unknown(self, observed: str, reason: str) -> Verdict:
        return Verdict(self.name, State.UNKNOWN, observed, self.threshold, reason)


def _lag(name: str, seen: StreamSeen, threshold_ms: float) -> Verdict:
    gate = _Gate(name, f"≤ {threshold_ms:g} ms")
    said = f"; it says: {seen.last_error}" if seen.last_error else ""
    if not seen.live:
        return gate.fails("off", f"stream {seen.name} is not running{said}")
    if not seen.marker:
        return gate.unknown("no round yet", f"stream {seen.name} has published no marker yet; is a worker running?{said}")
    behind = max(seen.lag_ms or 0.0, seen.oldest_ms if seen.depth else 0.0)
    observed = f"{behind:.0f} ms, {seen.depth} waiting"
    if behind > threshold_ms:
        return gate.fails(observed, f"stream {seen.name} is {behind:.0f} ms behind with {seen.depth} changes waiting{said}")
    return gate.passes(observed, f"stream {seen.name} is {behind:.0f} ms behind")


def lag(seen: StreamSeen, *, threshold_ms: float) -> Verdict:
    return _lag("lag", seen, threshold_ms)


def copies(seen: StreamSeen | None, *, threshold_ms: float) -> Verdict:
    """The service's read copies of other contexts' tables are there and fresh."""
    gate = _Gate("copies", "complete")
    if seen is None:
        return gate.passes("none declared", "the service needs no table of another context")
    if seen.backfilled is False:
        return gate.fails("backfill runs", f"the read copies ({seen.name}) are not complete yet")
    return _lag("copies", seen, threshold_ms)


def backfill(streams: Sequence[StreamSeen]) -> Verdict:
    gate = _Gate("backfill", "complete")
    missing = [seen.name for seen in streams if seen.backfilled is None]
    if missing or not streams:
        return gate.unknown("not started", f"no backfill is known of {', '.join(missing) or 'any stream'}")
    running = [seen.name for seen in streams if not seen.backfilled]
    if running:
        return gate.fails("running", f"the backfill of {', '.join(running)} is not complete")
    return gate.passes("complete", "every mirrored table was copied to its end")


def drift(context: str, checks: Sequence[DriftSeen], *, max_age_s: float) -> Verdict:
    gate = _Gate("drift", f"0 rows, checked ≤ {max_age_s:g} s ago")
    never = [check.stream for check in checks if check.differing is None or check.age_s is None]
    if never or not checks:
        names = ", ".join(never) or "any stream"
        return gate.unknown(
            "never checked", f"no full check of {names} since its last backfill began: strangler sync verify {context}"
        )
    rows = sum(check.differing or 0 for check in checks)
    age = max(check.age_s or 0.0 for check in checks)
    observed = f"{rows} rows, {age:.0f} s ago"
    if rows:
        names = ", ".join(check.stream for check in checks if check.differing)
        return gate.fails(observed, f"{rows} rows differ between the sides in {names}: strangler sync verify {context} --repair")
    if age > max_age_s:
        return gate.unknown(observed, f"the last clean check is {age:.0f} s old")
    return gate.passes(observed, f"both sides were equal {age:.0f} s ago")


def quarantine(streams: Sequence[StreamSeen]) -> Verdict:
    """Discarded rows count as well: letting one be is no leave to lose it in a hand-over."""
    gate, count = _Gate("quarantine", "0"), sum(seen.quarantined for seen in streams)
    if count:
        discarded = sum(seen.discarded for seen in streams)
        let_be = f", {discarded} of them discarded: mend those, or delete them at their owner" if discarded else ""
        return gate.fails(str(count), f"{count} rows could not be applied{let_be}: strangler sync quarantine list")
    return gate.passes("0", "no row waits in quarantine")


def reverse_mirror(context: str, seen: StreamSeen, check: DriftSeen, *, threshold_ms: float) -> Verdict:
    """The monolith's tables follow the service's, so nothing that was written there is missing on the way back.

    A drift check that is missing is no matter of this gate: ``drift`` makes it.
    """
    known = [] if check.differing is None else [drift(context, [check], max_age_s=float("inf"))]
    parts = [_lag("reverse mirror", seen, threshold_ms), quarantine([seen]), *known]
    worst = next((part for state in (State.FAIL, State.UNKNOWN) for part in parts if part.state is state), None)
    gate = _Gate("reverse mirror", f"≤ {threshold_ms:g} ms, 0 in quarantine, 0 differ")
    if worst is not None:
        return Verdict(gate.name, worst.state, worst.observed, gate.threshold, worst.reason)
    return gate.passes(parts[0].observed, f"the monolith's tables follow the service's: {parts[0].reason}")


DEAD_SERVICE = (
    "it must acknowledge that it stops writing, and a dead service can't be fenced. Start it and repeat the command;"
    " if it stays dead, look what going on without it may lose: strangler rollback {context} --force-dead-service --dry-run"
)


def health(ready: bool | None, said: str, *, gives_back: str = "") -> Verdict:
    """``gives_back``: the context that the service owns and is to give back, which a dead one can't (P22)."""
    gate = _Gate("health", "ready")
    if ready:
        return gate.passes("ready", "the service is ready")
    reason = f"the service is not ready: {said}" + (f"; {DEAD_SERVICE.format(context=gives_back)}" if gives_back else "")
    return gate.unknown("no answer", reason) if ready is None else gate.fails("not ready", reason)


def stranded(context: str, uncollected: int, waiting: int) -> Verdict:
    """What a dead service had acknowledged (P22). ``uncollected``: break-glasses of which it still has it; ``waiting``: keys."""
    gate, see = _Gate("stranded", "0"), f"strangler sync stranded {context}"
    if uncollected:
        return gate.fails(
            "not collected", f"what the dead service acknowledged last would be overwritten; start it, and see: {see}"
        )
    if waiting:
        return gate.fails(str(waiting), f"{waiting} changes that the dead service acknowledged wait for a person: {see}")
    return gate.passes("0", "no write of a dead service waits for a person")


def proxies(live: Sequence[str], behind: Mapping[str, str], *, needed: bool = True) -> Verdict:
    """``live``: ids of the proxies seen alive; ``behind``: those without the newest table, and what they have."""
    gate = _Gate("proxies", "all have the newest table")
    if not live and not needed:
        return gate.passes("none", "no proxy is needed in this stage")
    if not live:
        return gate.unknown("none alive", "no proxy reports itself alive; is one running, and on the same Redis?")
    observed = f"{len(live) - len(behind)} of {len(live)}"
    if behind:
        listed = ", ".join(f"{proxy} ({has})" for proxy, has in sorted(behind.items()))
        return gate.fails(observed, f"without the newest route table: {listed}")
    return gate.passes(observed, "every live proxy has the newest route table")


def loose_keys(tight: Sequence[str], orphans: Mapping[str, int]) -> Verdict:
    """Foreign keys that cross the context's border are loose (P25), and nothing points into the void."""
    gate = _Gate("loose keys", "0 tight, 0 orphans")
    lost = {key: count for key, count in orphans.items() if count}
    observed = f"{len(tight)} tight, {sum(lost.values())} orphans"
    if tight:
        return gate.fails(observed, f"foreign keys still cross the border: {', '.join(sorted(tight))}")
    if lost:
        listed = ", ".join(f"{key} ({count})" for key, count in sorted(lost.items()))
        return gate.fails(observed, f"rows point to rows that are not there: {listed}")
    return gate.passes(observed, "no foreign key crosses the border, and no row points to nothing")


def receivers(undeclared: Sequence[str], unheard: Sequence[str], unconnected: Sequence[str]) -> Verdict:
    """P26. ``unheard``: stay behind, but by a signal that no applied row can stand for."""
    gate = _Gate("receivers", "0 undeclared")
    if undeclared:
        listed = ", ".join(f'"{path}"' for path in undeclared)
        return gate.fails(
            f"{len(undeclared)} undeclared",
            f"signal receivers cross the border and have no disposition (service, monolith or drop) below receivers: {listed}",
        )
    if unheard:
        return gate.fails(
            f"{len(unheard)} unheard",
            f"no row can stand for the signal of {', '.join(unheard)}; use seams.on_row_applied for it, and declare it drop",
        )
    if unconnected:
        return gate.fails(f"{len(unconnected)} unknown", f"declared, but connected to no signal: {', '.join(unconnected)}")
    return gate.passes("0 undeclared", "every signal receiver that crosses the border has its place")


def tasks(astray: Sequence[str]) -> Verdict:
    """P26: the context's Celery tasks follow its owner."""
    gate = _Gate("tasks", "0 astray")
    if astray:
        reason = f"these would not follow the owner; make each an owner_task of the context: {', '.join(astray)}"
        return gate.fails(f"{len(astray)} astray", reason)
    return gate.passes("0 astray", "every task of the context runs on its owner alone")


def transactions(oldest_ms: float | None, *, threshold_ms: float) -> Verdict:
    """The oldest transaction that may write the context: the fence has to wait for it."""
    gate = _Gate("transactions", f"≤ {threshold_ms:g} ms")
    if oldest_ms is None:
        return gate.passes("none open", "no transaction holds the context's lock")
    observed = f"{oldest_ms:.0f} ms"
    if oldest_ms > threshold_ms:
        return gate.fails(observed, f"a transaction has held the context's lock for {observed}; the fence would wait for it")
    return gate.passes(observed, "no old transaction holds the context's lock")


def ownership(monolith: tuple[int, str], service: tuple[int, str] | None, *, expected: str) -> Verdict:
    """Both sides name the expected owner at the same epoch. A side is given as (epoch, owner)."""
    gate = _Gate("ownership", f"{expected} on both sides")
    observed = f"monolith says {monolith[1]} at epoch {monolith[0]}"
    if service is None:
        return gate.unknown(observed, "the service did not say whom it takes for the owner")
    observed += f", service says {service[1]} at epoch {service[0]}"
    if monolith != service or monolith[1] != expected:
        return gate.fails(observed, f"the sides do not agree that the {expected} is the owner: {observed}")
    return gate.passes(observed, f"both sides take the {expected} for the owner")


DAY_S = 86_400.0
SHOWN = 3  # of those who use a context; all of them: strangler usage CONTEXT


def writers(context: str, found: Sequence[Use], recording: Recording, *, days: float) -> Verdict:
    """P27. ``found``: foreign writers within ``days`` that come neither through the seam nor by a declared request.

    A writer that was seen is one, however short the record; that none was seen says something only of a record without gaps.
    """
    gate = _Gate("writers", f"0 in {days:g} days")
    if not days:
        return gate.passes("not asked", "writers_days = 0: nobody is asked")
    seen = [use for use in found if use.access == "write"]
    if seen:
        remedy = f"claim it there (seams.claim), or declare its path: contexts.{context}.also_written_by"
        return gate.fails(f"{len(seen)} writers", f"written from outside by {_first(seen, context)}; {remedy}")
    if found:
        remedy = "rewrite the statement, or look at it and override the gate"
        return gate.unknown(
            f"{len(found)} unclear", f"these may write, and could not be read: {_first(found, context)}; {remedy}"
        )
    short = recording.why_short(days * DAY_S)
    if short:
        return gate.unknown(f"0 in {_complete(recording)}", short)
    return gate.passes("0", f"nobody outside has written it in {days:g} days")


def unused(context: str, found: Sequence[Use], recording: Recording, *, days: float, keep_copy: bool = False) -> Verdict:
    """What still uses the monolith's part of a context. With ``keep_copy`` its tables go on being read, fresh."""
    gate = _Gate("unused", f"0 uses in {days:g} days" + (", reads excepted" if keep_copy else ""))
    if not days:
        return gate.passes("not asked", "retire_days = 0: nobody is asked")
    seen = [use for use in found if not (keep_copy and use.access == "read")]
    if seen:
        reads = all(use.access == "read" for use in seen)
        remedy = "end that, or keep the copy for them: --keep-copy" if reads else "end that first"
        return gate.fails(f"{len(seen)} uses", f"still used by {_first(seen, context)}; {remedy}")
    short = recording.why_short(days * DAY_S)
    if short:
        return gate.unknown(f"0 in {_complete(recording)}", short)
    return gate.passes("0", f"nothing has used the monolith's part of it in {days:g} days")


def rehearsal(context: str, seen: RehearsalSeen | None, *, days: float) -> Verdict:
    """The project's own tests, with the context's tables fenced as they will be. Asked only where ``days`` is not 0."""
    gate, again = _Gate("rehearsal", f"clean ≤ {days:g} days ago"), f"strangler rehearse {context} -- pytest"
    if seen is None:
        return gate.unknown("never rehearsed", f"no rehearsal of its cut is kept here: {again}")
    of = f" of {seen.head[:12]}{'+' * seen.head.endswith('+')}" if seen.head else ""
    observed = f"{seen.refused} of {seen.tests} tests refused, {span(seen.age_s)} ago"
    if not seen.clean:
        return gate.fails(observed, f"the last rehearsal{of} was not clean; mend what it says: {again}")
    if seen.age_s > days * DAY_S:
        return gate.unknown(observed, f"the last clean rehearsal{of} is {span(seen.age_s)} old: {again}")
    return gate.passes(observed, f"{seen.tests} tests{of} ran behind the fence, and nothing was refused")


def _first(uses: Sequence[Use], context: str) -> str:
    more = f", and {len(uses) - SHOWN} more (strangler usage {context})" if len(uses) > SHOWN else ""
    return "; ".join(map(str, uses[:SHOWN])) + more


def _complete(recording: Recording) -> str:
    return "nothing known" if recording.complete_s is None else span(recording.complete_s)
