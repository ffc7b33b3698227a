"""What the model of the hand-over knows: one context, its two sides, and everything that can be under way between them.

Simplified on purpose: all rows are one, whose value is the set of the writes that it went through, so that a lost write and an
overwritten one are both seen; whatever may take long may take for ever; a process that crashed is one that makes no further step.
Left out: the digest after the drain, which would hide what a drain does wrong; restored databases (P16); reads (P23, P24).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

MONOLITH, SERVICE, NONE = "monolith", "service", "none"
OTHER = {MONOLITH: SERVICE, SERVICE: MONOLITH}

RULES = {
    "fence": "the database refuses writes where this side is not the owner (P15)",
    "fence-lock": "a change of owner waits for open transactions that have written (P15)",
    "none-between": "between two owners there is none: the taker hears `none` before the commit (5a)",
    "drain-marker": "the drain waits for a round that began after the fence (4)",
    "epoch-check": "a side refuses an older epoch (P16)",
    "same-epoch": "a side refuses other content at the same epoch (P16)",
    "token": "a step is recorded by the holder of the newest token alone",
    "atomic-fence": "the monolith's fence and its record are one transaction with the token (3)",
    "atomic-commit": "the commit and its record are one transaction with the token (5b)",
    "point-of-no-return": "from the commit on an operation only goes forward",
    "undo-epoch": "an undo is at an epoch of its own, above all that its operation said",
    "confirm-before-flip": "the table flips only when the taker has confirmed that it owns (5c before 6)",
    "next-ids": "the taker goes on with the giver's ids (5a)",
    "version": "a row is applied only if its version is greater (P8)",
    "apply-owner": "an owner takes no changes of what it owns (P10)",
    "apply-epoch": "a side takes no changes of an older epoch (P10)",
    "apply-lock": "owner and epoch are checked under the lock under which the rows are written (P10)",
    "stamp": "a side answers 421 before the view where it is not the owner (P20)",
    "only-421-again": "only what was not executed is sent again (P20)",
    "drained-hold": "a proxy acknowledges a hold only when no older write is in flight (2)",
    "hold-passes": "whatever becomes of the operation, the table after it holds nothing (6)",
    "glass-epoch": "break-glass takes an epoch above all that any operation can have said (P22)",
    "glass-undo": "break-glass that finds the service alive settles what it ended (P22)",
    "room": "after break-glass the monolith leaves room for the ids that the service may have given out (P22)",
    "tell-owed": "a service that missed an undo hears of it later (P16)",
}


class Side(NamedTuple):
    epoch: int
    owner: str
    op: int
    ids: int  # the next id that its sequence gives
    rows: int = 0  # a bit for each write that the row went through


class Put(NamedTuple):
    """A message to the service. It may come late, and again, and never."""

    epoch: int
    owner: str
    op: int
    ids: int = 0


class Batch(NamedTuple):
    """A round: the epoch and the row as its snapshot saw them."""

    epoch: int
    rows: int


class Stream(NamedTuple):
    """``flying`` in order of version, all newer than what was applied. ``published``: the epoch of the newest answered one."""

    flying: tuple[Batch, ...] = ()
    published: int = 0
    checked: Batch | None = None  # only where the check is not under the lock of the write


class Operation(NamedTuple):
    """The ledger's row."""

    id: int
    giver: str
    step: str
    token: int
    epoch: int = 0  # at which it began; of break-glass: one above all that any operation can have said
    fenced: bool = False
    ids: int = 0
    ended: bool = False  # break-glass: it ended an operation that waited for the service's word


class Engine(NamedTuple):
    """A process, and what it believes of the operation that it holds or held."""

    op: Operation | None = None
    phase: str = "acts"  # acts, waits (for an answer), told (it came), woke (took over), lost (its commit's answer)
    said: Put | None = None  # what it waits to hear about
    ids: int = 0  # what the answer named


class Table(NamedTuple):
    live: bool
    epoch: int
    hold: int = 0  # the operation that parks writes


class Proxy(NamedTuple):
    table: Table
    cut: bool = False  # off from Redis and the control plane
    lapsed: bool = False  # its hold ended by itself
    learnt: tuple[int, str] | None = None  # an owner's own word (421)


class Write(NamedTuple):
    """A request or a job that writes: ``waits`` at its proxy, ``sent``, in the ``view``, in an ``open`` transaction."""

    place: str
    proxy: int = -1  # -1: inside the monolith, past every proxy
    side: str = ""
    stamp: int = 0
    id: int = -1
    excused: bool = False  # it may fail: its proxy was cut off, or its hold ended by itself
    ran: bool = False


class State(NamedTuple):
    monolith: Side
    service: Side
    op: Operation | None
    engines: tuple[Engine, ...]
    puts: tuple[Put, ...]
    mirror: Stream
    reverse: Stream
    table: Table
    proxies: tuple[Proxy, ...]
    writes: tuple[Write, ...] = ()
    begun: int = 0  # operations
    arrived: int = 0  # writes
    acknowledged: int = 0
    down: bool = False  # the service is dead
    left: bool = False  # break-glass: the monolith owns, and the service has not heard of it
    wrong: str = ""  # what must never happen, and just did

    def side(self, name: str) -> Side:
        return self.monolith if name == MONOLITH else self.service


@dataclass(frozen=True)
class World:
    """The bounds of an exploration, and the rules that hold in it."""

    operations: int = 1
    tokens: int = 1  # of one operation: how often it changes hands, and one
    engines: int = 2
    proxies: int = 0
    cuts: bool = False  # the last proxy may be cut off, and start again from its oldest table on disk
    lapses: bool = False  # holds may end by themselves
    jobs: bool = True  # writers inside the monolith
    writes: int = 1
    flying: int = 1  # rounds of a stream
    live: bool = False  # begin with the service as the owner
    dies: bool = False  # the service may die, and come back
    late: bool = False  # messages come late and again
    fails: bool = True  # steps fail and time out
    lost: bool = False  # answers to writes get lost
    without: frozenset[str] = frozenset()

    def start(self) -> State:
        side = Side(1, SERVICE if self.live else MONOLITH, 0, 0)
        table = Table(self.live, 1)
        return State(
            side, side, None, (Engine(),) * self.engines, (), Stream(), Stream(), table, (Proxy(table),) * self.proxies
        )  # fmt: skip

    def keeps(self, rule: str) -> bool:
        return rule not in self.without


def replaced(state: State, name: str, side: Side) -> State:
    return state._replace(**{name: side})


def change(state: State, world: World, name: str, put: Put) -> State | None:
    """A side is told who owns (P16). None where it refuses, or where an open transaction keeps the lock from it."""
    held = state.side(name)
    if (put.epoch, put.owner, put.op) == (held.epoch, held.owner, held.op):
        return replaced(state, name, held._replace(ids=max(held.ids, put.ids)))
    onward = put.epoch == held.epoch and held.owner == NONE and put.op == held.op
    if put.epoch < held.epoch and world.keeps("epoch-check"):
        return None
    if put.epoch == held.epoch and not onward and world.keeps("same-epoch"):
        return None
    if world.keeps("fence-lock") and any(write.place == "open" and write.side == name for write in state.writes):
        return None
    wrong = state.wrong
    if put.epoch < held.epoch:
        wrong = f"the epoch of the {name} fell"
    elif put.epoch == held.epoch and held.owner != NONE:
        wrong = f"the {name} took other content at the same epoch"
    now = held._replace(epoch=put.epoch, owner=put.owner, op=put.op, ids=max(held.ids, put.ids))
    return replaced(state, name, now)._replace(wrong=wrong)


def invariant(state: State) -> str:
    """What is wrong with a state; nothing, as a rule."""
    if state.wrong:
        return state.wrong
    monolith, service = state.monolith, state.service
    is_left = state.left and service.epoch < monolith.epoch  # what it believes is stale, and so is every stamp that it takes
    if monolith.owner == MONOLITH and service.owner == SERVICE and not is_left:
        return "two owners"
    for name, side in ((MONOLITH, monolith), (SERVICE, service)):
        if side.owner == name and state.acknowledged & ~side.rows and not (is_left and name == SERVICE):
            return f"an acknowledged write is lost: the {name} owns and does not have it"
    named = SERVICE if state.table.live else MONOLITH
    if not state.table.hold and state.side(named).owner != named:
        return f"the table sends writes to the {named}, which does not own"
    return ""


def settled(state: State) -> bool:
    """An end: nothing is under way, one side owns, both know it, and so does the table."""
    monolith, service = state.monolith, state.service
    return (
        state.op is None
        and not state.writes
        and (monolith.epoch, monolith.owner) == (service.epoch, service.owner)
        and monolith.owner == (SERVICE if state.table.live else MONOLITH)
        and not state.table.hold
    )


def tidy(state: State, world: World) -> State:
    """The same state without what can have no effect any more, and in one order: far fewer states (symmetry, dead messages)."""
    service, puts, writes = state.service, state.puts, state.writes
    if puts:
        waits = [engine.said for engine in state.engines]
        if world.keeps("epoch-check"):
            puts = tuple(put for put in puts if put.epoch >= service.epoch)
        if world.keeps("same-epoch"):
            puts = tuple(put for put in puts if put.epoch > service.epoch or service.owner == NONE or put in waits)
    if len(writes) > 1:
        writes = tuple(sorted(writes))
    mirror, reverse = state.mirror, state.reverse
    if world.keeps("apply-epoch"):
        mirror, reverse = _young(mirror, service.epoch), _young(reverse, state.monolith.epoch)
    left = state.left and service.epoch < state.monolith.epoch
    if (puts, writes, mirror, reverse, left) == (state.puts, state.writes, state.mirror, state.reverse, state.left):
        return state
    return state._replace(puts=puts, mirror=mirror, reverse=reverse, writes=writes, left=left)


def _young(stream: Stream, epoch: int) -> Stream:
    if not stream.flying or all(batch.epoch >= epoch for batch in stream.flying):
        return stream
    return stream._replace(flying=tuple(batch for batch in stream.flying if batch.epoch >= epoch))
