"""Everything else that moves in the model: writers, proxies, the two streams of rows."""

from __future__ import annotations

from tests.models.handover.engine import Moves
from tests.models.handover.state import (
    MONOLITH,
    NONE,
    SERVICE,
    Batch,
    Proxy,
    State,
    Stream,
    Table,
    World,
    Write,
    replaced,
)


def moves(state: State, world: World) -> Moves:
    yield from _arrivals(state, world)
    if world.dies:
        yield from _death(state)
    for place, write in enumerate(state.writes):
        if place and write == state.writes[place - 1]:
            continue  # the same from here on
        if state.down and write.side == SERVICE:
            continue
        yield from _PLACES[write.place](state, world, place, write)
    for place, proxy in enumerate(state.proxies):
        yield from _proxy(state, world, place, proxy)
    yield from _stream(state, world, "mirror", MONOLITH, SERVICE)
    yield from _stream(state, world, "reverse", SERVICE, MONOLITH)


def _death(state: State) -> Moves:
    """With it goes what it had not committed."""
    if state.down:
        yield "the service comes back", True, state._replace(down=False)
    elif state.monolith.owner != MONOLITH:
        writes = tuple(write for write in state.writes if write.side != SERVICE)
        yield "the service dies", False, state._replace(down=True, writes=writes)


# ---- writes ----------------------------------------------------------------------------------------------------------


def _now(state: State, place: int, write: Write | None) -> State:
    rest = state.writes[:place] + state.writes[place + 1 :]
    return state._replace(writes=rest if write is None else (*rest, write))


def _arrivals(state: State, world: World) -> Moves:
    if state.arrived >= world.writes:
        return
    state = state._replace(arrived=state.arrived + 1)
    for proxy in range(len(state.proxies)):
        yield f"a write comes to proxy {proxy + 1}", False, state._replace(writes=(*state.writes, Write("waits", proxy)))
    if world.jobs and (state.monolith.owner == MONOLITH or not world.keeps("fence")):
        opened = _open(state, world, Write("open", -1, MONOLITH))
        yield "a job in the monolith writes; its transaction is open", False, opened


def _open(state: State, world: World, write: Write) -> State:
    """The first statement of a transaction that writes: it takes the lock shared, passes the fence, and draws an id."""
    side = state.side(write.side)
    state = replaced(state, write.side, side._replace(ids=side.ids + 1))
    if 1 << side.ids & (state.monolith.rows | state.service.rows | state.acknowledged):
        state = state._replace(wrong=f"the {write.side} gave id {side.ids} a second time")
    return state._replace(writes=(*state.writes, write._replace(place="open", id=side.ids)))


def _waiting(state: State, world: World, place: int, write: Write) -> Moves:
    proxy = state.proxies[write.proxy]
    if proxy.table.hold and not proxy.lapsed:
        return
    side, stamp = (SERVICE if proxy.table.live else MONOLITH), proxy.table.epoch
    if proxy.learnt and proxy.learnt[0] >= stamp:
        stamp, side = proxy.learnt
    excused = write.excused or proxy.cut or proxy.lapsed
    sent = write._replace(place="sent", side=side, stamp=stamp, excused=excused)
    yield f"proxy {write.proxy + 1} sends a write to the {side}, stamped {stamp}", True, _now(state, place, sent)


def _sent(state: State, world: World, place: int, write: Write) -> Moves:
    side = state.side(write.side)
    if not world.keeps("stamp") or (side.owner == write.side and write.stamp <= side.epoch):
        excused = write.excused and side.owner == write.side
        viewed = _now(state, place, write._replace(place="view", stamp=0, excused=excused))
        yield f"the {write.side} takes a write into its view", True, viewed
        return
    proxy = state.proxies[write.proxy]
    if side.epoch > write.stamp and side.owner != NONE and side.epoch >= (proxy.learnt or (0, ""))[0]:
        proxy = proxy._replace(learnt=(side.epoch, side.owner))
    back = _now(state, place, Write("waits", write.proxy, excused=write.excused, ran=write.ran))
    yield f"the {write.side} answers 421: {side.owner} owns at {side.epoch}", True, _set(back, write.proxy, proxy)


def _viewed(state: State, world: World, place: int, write: Write) -> Moves:
    if state.side(write.side).owner == write.side or not world.keeps("fence"):
        state = _now(state, place, None)
        yield f"a write's transaction opens on the {write.side}", True, _open(state, world, write)
        return
    failed = _now(state, place, None)
    if not write.excused and not (world.dies and write.side == SERVICE):  # a service that died failed them anyway
        failed = failed._replace(wrong="a write that came by a proxy was failed by the flip: it met the fence")
    yield f"the fence of the {write.side} refuses a write", True, failed


def _opened(state: State, world: World, place: int, write: Write) -> Moves:
    side = state.side(write.side)
    wrong = state.wrong
    if write.ran:
        wrong = "a write was done twice"
    elif side.owner != write.side:
        wrong = f"the {write.side} acknowledged a write while the owner was {side.owner}"
    bit = 1 << write.id
    done = replaced(_now(state, place, None), write.side, side._replace(rows=side.rows | bit))._replace(wrong=wrong)
    promised = 0 if state.left and write.side == SERVICE else bit  # what a service that was left commits is stranded
    yield f"the {write.side} commits write {write.id}", True, done._replace(acknowledged=state.acknowledged | promised)
    if world.lost and write.proxy >= 0:
        what = f"the {write.side} commits write {write.id}, but the answer is lost"
        if world.keeps("only-421-again"):
            yield what, False, done
        else:
            again = Write("waits", write.proxy, ran=True)
            yield f"{what} and the proxy sends it again", False, done._replace(writes=(*done.writes, again))


_PLACES = {"waits": _waiting, "sent": _sent, "view": _viewed, "open": _opened}


# ---- proxies ---------------------------------------------------------------------------------------------------------


def _set(state: State, place: int, proxy: Proxy) -> State:
    proxies = list(state.proxies)
    proxies[place] = proxy
    return state._replace(proxies=tuple(proxies))


def _proxy(state: State, world: World, place: int, proxy: Proxy) -> Moves:
    name = f"proxy {place + 1}"
    if proxy.table != state.table or proxy.cut:
        learnt = proxy.learnt if proxy.learnt and proxy.learnt[0] > state.table.epoch else None
        lapsed = proxy.lapsed and proxy.table.hold == state.table.hold
        how = "is connected again and takes" if proxy.cut else "takes"
        yield f"{name} {how} the newest table", True, _set(state, place, Proxy(state.table, False, lapsed, learnt))
    if world.lapses and proxy.table.hold and not proxy.lapsed:
        yield from _lapse(state, place, proxy)
    if world.cuts and place == len(state.proxies) - 1:
        yield from _cut(state, world, place, proxy)


def _lapse(state: State, place: int, proxy: Proxy) -> Moves:
    """A hold that nobody ended ends by itself: the proxy asks the monolith for the owner, or fails what waits."""
    monolith = state.monolith
    if monolith.owner != NONE:
        learnt = max(proxy.learnt or (0, ""), (monolith.epoch, monolith.owner))
        ended = _set(state, place, proxy._replace(lapsed=True, learnt=learnt))
        yield f"the hold of proxy {place + 1} is over; the monolith names the {monolith.owner}", False, ended
    elif any(write.proxy == place and write.place == "waits" for write in state.writes):
        rest = tuple(write for write in state.writes if write.proxy != place or write.place != "waits")
        yield f"the hold of proxy {place + 1} is over and nobody owns: 503", False, state._replace(writes=rest)


def _cut(state: State, world: World, place: int, proxy: Proxy) -> Moves:
    name = f"proxy {place + 1}"
    if not proxy.cut:
        excused = tuple(write._replace(excused=True) if write.proxy == place else write for write in state.writes)
        yield f"{name} is cut off", False, _set(state, place, proxy._replace(cut=True))._replace(writes=excused)
    elif not any(write.proxy == place for write in state.writes):
        yield f"{name} starts again with an old table on its disk", False, _set(state, place, Proxy(Table(False, 1), True))


# ---- streams ---------------------------------------------------------------------------------------------------------


def _stream(state: State, world: World, name: str, source: str, target: str) -> Moves:
    stream: Stream = getattr(state, name)
    giver, taker = state.side(source), state.side(target)
    seen = Batch(giver.epoch, giver.rows)
    if state.down:
        return  # one end of both streams
    older = stream.flying if world.keeps("version") else stream.flying[-world.flying + 1 :] if world.flying > 1 else ()
    runs = name == "mirror" or state.table.live  # the reverse mirror is started by the flip, and stopped by the flip back
    if runs and len(older) < world.flying and seen not in stream.flying[-1:] and _wanted(world, stream, seen, taker.rows):
        read = state._replace(**{name: stream._replace(flying=(*older, seen))})
        yield f"a round to the {target} reads {_rows(seen.rows)} at epoch {seen.epoch}", True, read
    for place, batch in enumerate(stream.flying):
        if world.keeps("apply-owner") and taker.owner == target:
            break
        if world.keeps("apply-epoch") and batch.epoch < taker.epoch:
            continue
        if world.keeps("apply-lock"):
            yield from _apply(state, world, name, target, place, batch)
        elif stream.checked not in stream.flying:
            checked = state._replace(**{name: stream._replace(checked=batch)})
            yield f"the {target} has checked a round of {_rows(batch.rows)}", True, checked
    if stream.checked in stream.flying:
        yield from _apply(state, world, name, target, stream.flying.index(stream.checked), stream.checked)


def _wanted(world: World, stream: Stream, seen: Batch, there: int) -> bool:
    """There is something to carry, a drain waits for a marker, or somebody sends all rows once more (backfill, repair)."""
    return bool(seen.rows != there or stream.published < seen.epoch or (world.late and seen.rows))


def _apply(state: State, world: World, name: str, target: str, place: int, batch: Batch) -> Moves:
    stream: Stream = getattr(state, name)
    side = state.side(target)
    keep = 0 if not world.keeps("version") else place + 1
    wrong = state.wrong
    if side.rows & state.acknowledged & ~batch.rows:
        wrong = f"a row went back on the {target}: {_rows(side.rows)} became {_rows(batch.rows)}"
    after = replaced(state, target, side._replace(rows=batch.rows))._replace(wrong=wrong)
    acknowledged = Stream(stream.flying[keep:], max(stream.published, batch.epoch))
    yield f"the {target} applies {_rows(batch.rows)}", True, after._replace(**{name: acknowledged})
    if world.late:
        unanswered = Stream(stream.flying[keep:], stream.published)
        yield f"the {target} applies {_rows(batch.rows)}, but the answer is lost", False, after._replace(**{name: unanswered})


def _rows(rows: int) -> str:
    """The writes that a row went through."""
    return "{" + ", ".join(str(bit) for bit in range(rows.bit_length()) if rows >> bit & 1) + "}"
