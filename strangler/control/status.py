"""Where a context stands, in plain words: the object that CLI and console render."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.utils import timezone

from strangler import conf
from strangler.control import observe, ramp_view
from strangler.control.followers import Proxies
from strangler.control.ledger import describe, open_operation
from strangler.control.models import Migration, Operation
from strangler.control.observe import Observer
from strangler.control.ramp_view import RampSeen
from strangler.control.retire import keeps_copy
from strangler.control.sides import MonolithSide, ServiceSide
from strangler.control.ways import way_back, way_forward
from strangler.domain import plan, safety, words
from strangler.domain.estate import Context
from strangler.domain.gates import State, StreamSeen, Verdict, closed
from strangler.domain.safety import Safety
from strangler.domain.stages import Position, Stage
from strangler.errors import Misuse, StranglerError
from strangler.sync import status as sync_status
from strangler.sync import stranded
from strangler.sync.diagnosis import Around, Severity
from strangler.sync.status import StreamStatus


@dataclass(frozen=True)
class Owner:
    """Whom a side takes for the owner; ``said`` is why it isn't known."""

    owner: str
    epoch: int | None
    said: str = ""

    def __str__(self) -> str:
        return f"{self.owner} (epoch {self.epoch})" if self.epoch is not None else f"unknown: {self.said}"


@dataclass(frozen=True)
class OperationSeen:
    """The operation under way, and whether its holder still lives."""

    what: str
    step: str
    undoing: bool
    who: str
    holder: str
    alive: bool
    error: str
    seconds: float


@dataclass(frozen=True)
class Status:
    """Everything about one context. ``next`` is a command, or None; ``blocked`` says why it would be refused.

    ``sentence`` says the most important of it in plain words.
    """

    context: str
    sentence: str
    stage: str
    percent: int
    since: str | None
    reads: str
    writes: str
    data: str
    service: str
    monolith_says: Owner
    service_says: Owner
    streams: tuple[StreamSeen, ...]
    operation: OperationSeen | None
    verdicts: tuple[Verdict, ...]
    next: str | None
    blocked: str
    safe_to_roll_back: bool
    because: str
    back: str | None
    alarms: tuple[str, ...] = ()  # what is broken or stuck, the worst first, each with what to do
    is_broken: bool = False  # a stream was given up (P4)
    ramp: RampSeen | None = None  # the last one; it may be over

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdicts": [verdict.to_json() for verdict in self.verdicts]}


def report(names: list[str] | None = None) -> list[Status]:
    """Of the named contexts, or of all. Reads only, and never waits long for a side that is away."""
    declared = conf.estate().contexts
    unknown = [name for name in names or [] if name not in declared]
    if unknown:
        raise Misuse(f"there is no context {unknown[0]!r}; strangler.toml declares {', '.join(sorted(declared)) or 'none'}")
    proxies = Proxies()
    try:
        bad = [stream for stream in sync_status.streams(around=Around()) if stream.finding.severity is Severity.BAD]
        return [_status(declared[name], proxies, [one for one in bad if one.context == name]) for name in names or declared]
    finally:
        proxies.close()


def _status(context: Context, proxies: Proxies, bad: Sequence[StreamStatus]) -> Status:
    row = Migration.objects.using(conf.setting("DATABASE")).filter(context=context.name).first()
    at = Position.of(Stage(row.stage), row.percent) if row else Position.of(Stage.MONOLITH)
    operation = _operation(context.name)
    movable = bool(context.service_urls)
    monolith = _owner(MonolithSide(context.name).read)
    service = _owner(ServiceSide(context.name).read) if movable else Owner("", None, "it has no service")
    observer = (
        Observer(context, ServiceSide(context.name), MonolithSide(context.name), proxies, verify=False) if movable else None
    )
    to, verdicts, following, blocked = _next(context, at, operation, observer)
    reads, writes = plan.reads(at, context.shadow_share), plan.writes(monolith.owner or at.stage.owner)
    shut = _shut(verdicts)
    back = _back(context, at, monolith.owner, operation, observer)
    ramp = ramp_view.of(context.name)
    if ramp and ramp.is_running:
        shut, blocked = [], f"the ramp of {ramp.who} takes the steps: {ramp.reason}; by hand: strangler ramp hold {context.name}"
    names = (context.mirror_stream, context.copies_stream, context.reverse_stream)
    return Status(
        context=context.name,
        sentence=words.standing(context.name, reads, writes, words.following(to, shut, "" if shut else blocked)),
        stage=str(at.stage),
        percent=at.percent,
        since=row.since.isoformat() if row else None,
        reads=reads,
        writes=writes,
        data=plan.data(at, keeps_copy=at.stage is Stage.RETIRED and keeps_copy(context)),
        service=", ".join(context.service_urls),
        monolith_says=monolith,
        service_says=service,
        streams=tuple(seen for seen in map(observe.stream, names) if seen),
        operation=operation,
        verdicts=tuple(verdicts),
        next=following,
        blocked=blocked,
        safe_to_roll_back=back.safe,
        because=back.because,
        back=back.command,
        alarms=(
            *_left_behind(context.name),
            *(f"stream {one.name} is {one.finding.word}: {one.finding.why}; next: {one.finding.next}" for one in bad),
        ),
        is_broken=any(one.state == "broken" for one in bad),
        ramp=ramp,
    )


def _owner(read: Callable[[], Any]) -> Owner:
    try:
        known = read()
    except StranglerError as error:
        return Owner("", None, str(error))
    return Owner(known.owner, known.epoch)


def _operation(context: str) -> OperationSeen | None:
    row: Operation | None = open_operation()
    if row is None or row.context != context:
        return None
    now = timezone.now()
    return OperationSeen(
        what=describe(row),
        step=row.step,
        undoing=row.undoing,
        who=row.who,
        holder=row.holder,
        alive=bool(row.holder_until and row.holder_until > now),
        error=row.error,
        seconds=(now - row.started_at).total_seconds(),
    )


def _next(
    context: Context, at: Position, operation: OperationSeen | None, observer: Observer | None
) -> tuple[Position | None, list[Verdict], str | None, str]:
    """(the next position, verdicts of the transition to it, its command, what blocks it)."""
    if observer is None:
        return None, [], None, f"contexts.{context.name}.service in strangler.toml names no service"
    try:
        to = way_forward(context, at)[0]
    except Misuse:
        return None, [], None, "this is the last stage"
    command = f"strangler {'retire' if to.stage is Stage.RETIRED else 'advance'} {context.name}"
    if operation:
        return to, [], command, f"an operation is under way: {operation.what}"
    verdicts = observer.judge(at, to)
    return to, verdicts, command, "; ".join(f"{verdict} [{verdict.state}]" for verdict in _shut(verdicts))


def _shut(verdicts: list[Verdict]) -> list[Verdict]:
    """What would hold the transition back. A drift check that is missing would not: the transition makes it itself."""
    return [verdict for verdict in closed(verdicts) if (verdict.gate, verdict.state) != ("drift", State.UNKNOWN)]


def _back(context: Context, at: Position, owner: str, operation: OperationSeen | None, observer: Observer | None) -> Safety:
    """Of one stage back."""
    verdicts = [] if observer is None or operation or at.stage is Stage.MONOLITH else observer.judge(at, way_back(context, at)[0])
    doing = operation.what if operation else ""
    return safety.judge(context.name, at, owner, verdicts, operation=doing, movable=observer is not None)


def _left_behind(context: str) -> list[str]:
    """After a break-glass: what the dead service still has, or what a person has to look at (P22)."""
    alarms = [
        f"{context} was left by break-glass at {one.at:%Y-%m-%d %H:%M:%S}, and what its service acknowledged last is not here yet"
        f"{': ' + one.error if one.error else ''}; next: start the service"
        for one in stranded.pending(context)
    ]
    if count := stranded.waiting(context):
        are = "change that the dead service acknowledged is" if count == 1 else "changes that the dead service acknowledged are"
        alarms.append(f"{count:,} {are} applied nowhere; next: strangler sync stranded {context}")
    return alarms


def operator() -> str:
    """Who runs this command, for receipts."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
