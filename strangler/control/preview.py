"""What one transition would change, looked up and not done: routes, owner, streams, tasks, keys (``--dry-run``).

Nothing is written anywhere to find out: see ``Observer.only_looks`` for the gates.
"""

from __future__ import annotations

from strangler import conf
from strangler.control.handover import Owning
from strangler.control.publish import number_of_newest
from strangler.domain import changes, plan
from strangler.domain.changes import Change
from strangler.domain.estate import Context
from strangler.domain.plan import Kind
from strangler.domain.stages import Position
from strangler.errors import StranglerError
from strangler.seams.tasks import owned
from strangler.sync import loose_keys
from strangler.sync.models import Stream

HANDOVERS = (Kind.CUT_OVER, Kind.CUT_BACK)


def preview(context: Context, at: Position, to: Position, monolith: Owning, service: Owning) -> list[Change]:
    """In the order in which it would happen, but for what is undone again at its end."""
    kind = plan.kind(at, to)
    found = changes.routes(context, at, to) + _table() + _owner(context, kind, to, monolith, service)
    if kind in HANDOVERS:
        found += changes.parked(context, context.gates.max_pause_ms) + _tasks(context, to)
    return changes.differing(found + _streams(context, kind) + _keys(context, kind))


def _table() -> list[Change]:
    generation, version = number_of_newest()
    return [Change("route table", f"{generation}.{version}", f"{generation or 1}.{version + 1}")]


def _owner(context: Context, kind: Kind, to: Position, monolith: Owning, service: Owning) -> list[Change]:
    here = monolith.read()
    epoch = here.epoch + (kind in HANDOVERS)
    if kind is Kind.ENTER_MIRROR:
        try:
            epoch = max(here.epoch, service.read().epoch) + 1
        except StranglerError:
            epoch = here.epoch + 1
    return [Change("owner", here.owner, str(to.stage.owner)), Change("epoch", str(here.epoch), str(epoch))]


def _tasks(context: Context, to: Position) -> list[Change]:
    then = f"paused, at most {context.gates.max_task_wait_s:g} s are waited for those that run; then on the {to.stage.owner}"
    return [Change(f"task {name}", f"runs on the {to.stage.owner.other}", then) for name in owned(context)]


def _streams(context: Context, kind: Kind) -> list[Change]:
    towards = [context.mirror_stream, *([context.copies_stream] if context.read_copies else [])]
    back = [context.reverse_stream]
    then: dict[Kind, tuple[list[str], str]] = {
        Kind.ENTER_MIRROR: (towards, "live, with a backfill of every row"),
        Kind.LEAVE_MIRROR: (towards, "off"),
        Kind.CUT_OVER: (back, "live"),
        Kind.CUT_BACK: (back, "off"),
        Kind.RETIRE: (back, "off"),
        Kind.UNRETIRE: (back, "live"),
    }
    names, becomes = then.get(kind, ([], ""))
    states = dict(Stream.objects.using(conf.setting("DATABASE")).filter(name__in=names).values_list("name", "state"))
    return [Change(f"stream {name}", states.get(name, "off"), becomes) for name in names]


def _keys(context: Context, kind: Kind) -> list[Change]:
    if kind is Kind.ENTER_MIRROR:
        return [Change(f"key {label}", "foreign key", "loose") for label in loose_keys.tight(context.name)]
    if kind is Kind.LEAVE_MIRROR:
        return [Change(f"key {label}", "loose", "foreign key") for label in loose_keys.loose(context.name)]
    return []
