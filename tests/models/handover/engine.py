"""The engine in the model: the steps of ``strangler.control.handover`` and of the runner, each outside effect a move.

Two processes may drive the same operation: the one that holds it, and one that was overtaken and does not know.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.models.handover.state import MONOLITH, NONE, OTHER, SERVICE, Engine, Operation, Put, State, Table, World, change

Moves = Iterator[tuple[str, bool, State]]  # what happens, whether it needs no bad luck, and what is then

GLASS = ("look", "hush", "break", "leave")
FORWARD = ("gates", "hold", "fence", "drain", "offer", "commit", "confirm", "flip")
HASTY = (*FORWARD[:-2], "flip", "confirm")
MEND = ("restore", "restored", "unhush")
NO_RETURN = ("confirm", "flip", "leave")
UNDO = {MONOLITH: ("undo-owner", "release", "undo-other"), SERVICE: ("undo-owner", "undo-other", "release")}
TURNING = {
    "hush": "unhush",
    "break": "unhush",
    "hold": "release",
    **dict.fromkeys(("fence", "drain", "offer", "commit"), "undo-owner"),
}


def moves(state: State, world: World) -> Moves:
    if state.begun < world.operations:
        yield from _begin(state, world)
    if state.op is not None:
        yield from _take_over(state, world)
    for place, engine in enumerate(state.engines):
        if engine.op is not None:
            yield from Process(state, world, place, engine).moves()


def _begin(state: State, world: World) -> Moves:
    giver, number = SERVICE if state.table.live else MONOLITH, state.begun + 1
    if state.op is None:
        what = "cut-back" if state.table.live else "cut-over"
        yield _begun(state, Operation(number, giver, "gates", 1), what)
    if state.down and state.monolith.owner != MONOLITH and (state.op is None or _needs_the_service(state.op)):
        said = state.op.epoch + 2 if state.op and world.keeps("glass-epoch") else 0
        above = max(state.monolith.epoch, said) + 1
        yield _begun(state, Operation(number, SERVICE, "look", 1, above, ended=state.op is not None), "break-glass")


def _needs_the_service(op: Operation) -> bool:
    """It can neither go on nor back without its word."""
    return (op.giver, op.step) in ((SERVICE, "undo-owner"), (MONOLITH, "confirm"), (SERVICE, "restore"))


def _begun(state: State, op: Operation, what: str) -> tuple[str, bool, State]:
    place = _room(state)[0]
    story = f"an operator begins a {what}: engine {_name(op)}"
    return story, True, _put(state, place, Engine(op))._replace(op=op, begun=op.id)


def _take_over(state: State, world: World) -> Moves:
    op = state.op
    assert op is not None
    if op.token >= world.tokens:
        return
    newer = op._replace(token=op.token + 1)
    for place in _room(state):
        what = f"the lease of engine {_name(op)} is over; engine {_name(newer)} takes over at step {op.step}"
        yield what, False, _put(state, place, Engine(newer, "woke"))._replace(op=newer)


def _room(state: State) -> list[int]:
    """Where a process can start: in a free place, or, where there is none, in that of one that dies."""
    free = [place for place, engine in enumerate(state.engines) if engine.op is None]
    return free[:1] or list(range(len(state.engines)))


def _put(state: State, place: int, engine: Engine) -> State:
    engines = list(state.engines)
    engines[place] = engine
    return state._replace(engines=tuple(sorted(engines, key=lambda one: one.op or ())))


def _name(op: Operation) -> str:
    return f"{op.id}.{op.token}"


class Process:
    """One engine process at one moment; ``mine`` is what it knows of its operation."""

    def __init__(self, state: State, world: World, place: int, engine: Engine) -> None:
        self.state, self.world, self.place, self.engine = state, world, place, engine
        assert engine.op is not None
        self.mine: Operation = engine.op
        self.name = f"engine {_name(self.mine)}"
        self.taker = OTHER[self.mine.giver]

    def moves(self) -> Moves:
        step, phase = self.mine.step, self.engine.phase
        if phase == "woke":
            yield from self._woke()
        elif phase == "told":
            yield f"{self.name} records {step}", True, self._record(self.state, ids=self.engine.ids)
        elif phase != "lost":
            act = getattr(self, "_" + step.replace("-", "_"))
            for what, after in act():
                if after is not None:
                    yield f"{self.name} {what}", True, after
        if phase == "lost" or (phase != "woke" and self.world.fails):
            yield from self._fails()

    # ---- the runner -----------------------------------------------------------------------------------------------

    def _is_mine(self, state: State) -> bool:
        """The token's comparison."""
        op = state.op
        return op is not None and op.id == self.mine.id and (op.token == self.mine.token or not self.world.keeps("token"))

    def _gone(self, state: State) -> State:
        """It learns that it was overtaken, and stops."""
        return _put(state, self.place, Engine())

    def _record(self, state: State, *, epoch: int = 0, ids: int = 0) -> State:
        """The end of a step: a compare-and-swap on step and token."""
        op = state.op
        if op is None or not self._is_mine(state) or op.step != self.mine.step:
            return self._gone(state)
        following = self._following()
        if not following:
            return _put(state, self.place, Engine())._replace(op=None)
        if op.step == "gates":
            op = op._replace(epoch=epoch)
        elif op.step == "fence":
            op = op._replace(fenced=True, ids=ids)
        op = op._replace(step=following)
        mine = op._replace(token=self.mine.token)
        return _put(state, self.place, Engine(mine))._replace(op=op)

    def _following(self) -> str:
        forward = FORWARD if self.world.keeps("confirm-before-flip") else HASTY
        for steps in (GLASS, forward, UNDO[self.mine.giver], MEND):
            if self.mine.step in steps:
                return (*steps, "")[steps.index(self.mine.step) + 1]
        raise AssertionError(self.mine.step)

    def _waits(self, state: State) -> State:
        return _put(state, self.place, self.engine._replace(phase="waits"))

    def _woke(self) -> Moves:
        step = self.mine.step
        can_go_on = step not in FORWARD + GLASS or (step in NO_RETURN and self.world.keeps("point-of-no-return"))
        if can_go_on:
            yield f"{self.name} goes on with {step}", True, _put(self.state, self.place, self.engine._replace(phase="acts"))
        else:
            yield f"{self.name} turns back from {step}", True, self._turn_back(self.state, step)

    def _turn_back(self, state: State, step: str) -> State:
        """A compare-and-swap too. What touched nothing yet ends as refused."""
        if not self._is_mine(state) or state.op.step != step:  # type: ignore[union-attr]
            return self._gone(state)
        begin = TURNING.get(step, "" if step not in NO_RETURN else "undo-owner")
        if step in GLASS and self.mine.ended and self.world.keeps("glass-undo"):
            begin = "restore"
        if not begin:
            return _put(state, self.place, Engine())._replace(op=None)
        op = state.op._replace(step=begin)  # type: ignore[union-attr]
        return _put(state, self.place, Engine(op._replace(token=self.mine.token)))._replace(op=op)

    def _fails(self) -> Moves:
        """An error or a time-out. It looks what the ledger says: a commit whose answer was lost has moved it all the same."""
        step, phase = self.mine.step, self.engine.phase
        state = self._forget_message(self.state)
        is_due = phase == "lost" or (self.engine.said is not None and self.engine.said not in self.state.puts)
        is_due |= step == "hold" and any(proxy.lapsed for proxy in self.state.proxies)  # it won't hold again
        what = f"{self.name} fails at {step}"
        if not self._is_mine(state):
            yield f"{what}, and learns that it was overtaken", is_due, self._gone(state)
            return
        now = state.op.step  # type: ignore[union-attr]
        if step == "undo-other" and self.taker == SERVICE and phase != "told":
            yield f"{what}: the service does not answer; it is owed", is_due, self._record(state)
        elif now in FORWARD + GLASS and not (now in NO_RETURN and self.world.keeps("point-of-no-return")):
            yield f"{what} and turns back", is_due, self._turn_back(state, now)
        elif phase != "acts" or now != step:
            mine = state.op._replace(token=self.mine.token)  # type: ignore[union-attr]
            yield f"{what} and tries {now} again", is_due, _put(state, self.place, Engine(mine))

    def _forget_message(self, state: State) -> State:
        """Where no message comes late, one that nobody waits for is lost."""
        if self.world.late or self.engine.said is None:
            return state
        return state._replace(puts=tuple(put for put in state.puts if put != self.engine.said))

    # ---- the steps there ------------------------------------------------------------------------------------------

    def _gates(self) -> Iterator[tuple[str, State | None]]:
        monolith, service = self.state.monolith, self.state.service
        if (monolith.epoch, monolith.owner) == (service.epoch, service.owner) and monolith.owner == self.mine.giver:
            yield "passes its gates", self._record(self.state, epoch=monolith.epoch)
        else:
            yield "finds a gate closed: the sides do not agree", self._turn_back(self.state, "gates")

    def _hold(self) -> Iterator[tuple[str, State | None]]:
        hold = Table(self.mine.giver == SERVICE, self.state.monolith.epoch, self.mine.id)
        if self.engine.phase == "acts":
            yield "publishes the hold", self._publish(hold)
        elif all(self._holds(place) for place in range(len(self.state.proxies))):
            yield "sees every live proxy hold", self._record(self.state)

    def _holds(self, place: int) -> bool:
        proxy = self.state.proxies[place]
        if proxy.cut:
            return True  # it is not counted among the living
        if proxy.lapsed or proxy.table.hold != self.mine.id:
            return False
        under_way = any(write.proxy == place and write.place != "waits" for write in self.state.writes)
        return not (under_way and self.world.keeps("drained-hold"))

    def _publish(self, table: Table, *, wait: bool = True) -> State:
        """In a transaction that checks the token. The table's number only rises, so proxies only ever take the newest."""
        if not self._is_mine(self.state):
            return self._gone(self.state)
        state = self.state._replace(table=table)
        return self._waits(state) if wait else self._record(state)

    def _fence(self) -> Iterator[tuple[str, State | None]]:
        put = Put(self.mine.epoch + 1, NONE, self.mine.id)
        yield from self._tell(self.mine.giver, put, atomic=self.world.keeps("atomic-fence"))

    def _drain(self) -> Iterator[tuple[str, State | None]]:
        stream = self.state.mirror if self.mine.giver == MONOLITH else self.state.reverse
        if stream.published > self.mine.epoch or not self.world.keeps("drain-marker"):
            yield "sees the stream drained", self._record(self.state)

    def _offer(self) -> Iterator[tuple[str, State | None]]:
        owner = NONE if self.world.keeps("none-between") else self.taker
        ids = self.mine.ids if self.world.keeps("next-ids") else 0
        yield from self._tell(self.taker, Put(self.mine.epoch + 1, owner, self.mine.id, ids))

    def _commit(self) -> Iterator[tuple[str, State | None]]:
        atomic = self.world.keeps("atomic-commit")
        put = Put(self.mine.epoch + 1, self.taker, self.mine.id)
        for what, after in self._tell(MONOLITH, put, atomic=atomic):
            yield what, after
            if atomic and self.world.fails and after is not None and after.op is not None and after.op.step == "confirm":
                yield f"{what}, but the answer is lost", _put(after, self.place, self.engine._replace(phase="lost"))

    def _confirm(self) -> Iterator[tuple[str, State | None]]:
        yield from self._tell(SERVICE, Put(self.mine.epoch + 1, self.taker, self.mine.id))

    def _flip(self) -> Iterator[tuple[str, State | None]]:
        if self.engine.phase == "acts":
            table = Table(self.taker == SERVICE, self.state.monolith.epoch)
            yield "publishes the flip", self._publish(table)
        elif all(proxy.cut or proxy.table == self.state.table for proxy in self.state.proxies):
            yield "sees every live proxy flipped: done", self._record(self.state)

    # ---- and back -------------------------------------------------------------------------------------------------

    def _undo_owner(self) -> Iterator[tuple[str, State | None]]:
        if self.mine.giver == MONOLITH and not self.mine.fenced:
            yield "has no owner to undo", self._record(self.state)
        else:
            yield from self._tell(self.mine.giver, self._undone)

    def _undo_other(self) -> Iterator[tuple[str, State | None]]:
        if self.mine.giver == MONOLITH and not self.mine.fenced:
            yield "has nothing to tell", self._record(self.state)
            return
        yield from self._tell(self.taker, self._undone)

    def _release(self) -> Iterator[tuple[str, State | None]]:
        hold = 0 if self.world.keeps("hold-passes") else self.mine.id
        table = Table(self.mine.giver == SERVICE, self.state.monolith.epoch, hold)
        yield "publishes the table without the hold", self._publish(table, wait=False)

    @property
    def _undone(self) -> Put:
        above = 2 if self.world.keeps("undo-epoch") else 1
        return Put(self.mine.epoch + above, self.mine.giver, self.mine.id)

    # ---- break-glass (P22): from a service that is dead, without its word -------------------------------------------

    def _look(self) -> Iterator[tuple[str, State | None]]:
        if self.state.down:
            yield "sees that the service is dead", self._record(self.state)
        else:
            yield "sees that the service lives", self._turn_back(self.state, "look")

    def _hush(self) -> Iterator[tuple[str, State | None]]:
        """Proxies are asked to park, and not waited for. Then the last look."""
        if self.engine.phase == "acts":
            yield "publishes a hold", self._publish(Table(self.state.table.live, self.state.monolith.epoch, self.mine.id))
        elif self.state.down:
            yield "sees that the service is still dead", self._record(self.state)
        else:
            yield "sees that the service lives after all", self._turn_back(self.state, "hush")

    def _break(self) -> Iterator[tuple[str, State | None]]:
        """One transaction with its record: the owner, and what is left behind. What the service had acknowledged and did not
        come over is named, and promised to nobody from here on."""
        if not self._is_mine(self.state):
            yield "would break the glass: it was overtaken", self._gone(self.state)
            return
        ids = self.state.service.ids + self.world.writes if self.world.keeps("room") else 0
        after = change(self.state, self.world, MONOLITH, Put(self.mine.epoch, MONOLITH, self.mine.id, ids))
        if after is not None:
            named = after.acknowledged & after.monolith.rows
            yield "breaks the glass", self._record(after._replace(left=True, acknowledged=named))

    def _leave(self) -> Iterator[tuple[str, State | None]]:
        if self.engine.phase == "acts":
            yield "publishes the flip", self._publish(Table(False, self.state.monolith.epoch))
        elif all(proxy.cut or proxy.table == self.state.table for proxy in self.state.proxies):
            yield "sees every live proxy flipped: done", self._record(self.state)

    def _restore(self) -> Iterator[tuple[str, State | None]]:
        """The service lives after all, and the operation that was ended left it without an owner: it owns again.

        (The code takes that operation up again, at its own epochs, which comes to the same.)
        """
        yield from self._tell(SERVICE, Put(self.mine.epoch, SERVICE, self.mine.id))

    def _restored(self) -> Iterator[tuple[str, State | None]]:
        yield from self._tell(MONOLITH, Put(self.mine.epoch, SERVICE, self.mine.id))

    def _unhush(self) -> Iterator[tuple[str, State | None]]:
        """Of who owns: a cut-over that was ended past its point of no return is gone through with."""
        monolith = self.state.monolith
        table = Table(monolith.owner == SERVICE, monolith.epoch)
        yield "publishes the table without the hold", self._publish(table, wait=False)

    # ---- telling a side -------------------------------------------------------------------------------------------

    def _tell(self, name: str, put: Put, *, atomic: bool = False) -> Iterator[tuple[str, State | None]]:
        """The service hears by a message; the monolith by a transaction, ``atomic`` with the record or ahead of it."""
        if self.engine.phase == "waits":
            return
        if name == SERVICE:
            what = f"sends the service {{{put.epoch}, {put.owner}}} ({self.mine.step})"
            state = self.state._replace(puts=tuple(sorted({*self.state.puts, put})))
            yield what, _put(state, self.place, self.engine._replace(phase="waits", said=put))
            return
        what = f"writes {{{put.epoch}, {put.owner}}} on the monolith ({self.mine.step})"
        if atomic and not self._is_mine(self.state):
            yield f"{what}: it was overtaken", self._gone(self.state)
            return
        after = change(self.state, self.world, MONOLITH, put)
        if after is None:
            return
        if atomic:
            yield what, self._record(after, ids=after.monolith.ids)
        else:
            yield what, _put(after, self.place, self.engine._replace(phase="told", ids=after.monolith.ids))


def messages(state: State, world: World) -> Moves:
    """Messages arrive at the service, which answers; and the tick sends one that is owed."""
    owed = state.op is None or state.op.step == "gates"
    monolith, service = state.monolith, state.service
    if owed and service.epoch < monolith.epoch and world.keeps("tell-owed"):
        put = Put(monolith.epoch, monolith.owner, monolith.op)
        if put not in state.puts:
            yield "the tick sends what is owed", True, state._replace(puts=tuple(sorted({*state.puts, put})))
    for put in state.puts if not state.down else ():
        after = change(state, world, SERVICE, put)
        if after is None:
            continue
        what = f"the service hears {{{put.epoch}, {put.owner}}}"
        if not world.late:
            after = after._replace(puts=tuple(one for one in after.puts if one != put))
        for place, engine in enumerate(state.engines):
            if engine.phase == "waits" and engine.said == put:
                told = engine._replace(phase="told", said=None, ids=after.service.ids)
                yield f"{what} and answers", True, _put(after, place, told)
        if after != state and (world.fails or not any(engine.said == put for engine in state.engines)):
            yield what, not any(engine.said == put for engine in state.engines), after
