"""Each of the seven steps of PROTOCOL's cut-over: what it does, and what is left if its process dies in it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from strangler.control.errors import NotConverged
from strangler.control.handover import PAUSED, HandOver
from strangler.control.saga import Running
from strangler.domain.stages import Position, Side
from tests.unit.control.world import CANARY, KILLED, KILLED_AFTER, LIVE, LOST, OK, REFUSED, Holder, World

FORWARD = ("confirm", "flip", "reverse")
STEPS = ("gates", "pause", "hold", "fence", "drain", "offer", "commit", *FORWARD)
BEFORE = STEPS[:7]


def run_until(world: World, holder: Holder, step: str) -> None:
    """To the first call of ``step``."""
    while not (world.operation and world.operation.step == step):
        assert not holder.ended, f"it ended before {step}"
        holder.step(OK)


def run_out(holder: Holder) -> None:
    while not holder.ended:
        holder.step(OK)


def finish(world: World) -> None:
    """The tick: takes over until the operation is over."""
    while world.operation:
        run_out(world.take_over())
    world.tell_owed()


def live_world() -> World:
    world = World()
    run_out(world.begin())
    assert world.position == LIVE
    return world


@pytest.fixture(params=["cut-over", "rollback"])
def world(request: pytest.FixtureRequest) -> World:
    return World() if request.param == "cut-over" else live_world()


def sides(world: World) -> tuple[str, int, str, int]:
    return (world.monolith.owner, world.monolith.epoch, world.service.owner, world.service.epoch)


def test_step_1_gates_change_nothing(world: World) -> None:
    before = sides(world)
    run_until(world, world.begin(), "hold")
    assert sides(world) == before


def test_step_2_tasks_are_set_aside_and_end_before_a_write_is_parked(world: World) -> None:
    run_until(world, world.begin(), "hold")
    assert world.parked[-1] == {"tasks"}


def test_step_2_hold_parks_writes_before_anything_is_fenced(world: World) -> None:
    before = sides(world)
    run_until(world, world.begin(), "fence")
    assert sides(world) == before
    assert world.parked[-1] == {"tasks", "writes"}


@pytest.mark.parametrize("verdict", [OK, REFUSED])
def test_step_7_whatever_comes_of_it_tasks_and_writes_go_on(world: World, verdict: str) -> None:
    holder = world.begin()
    run_until(world, holder, "drain")
    holder.step(verdict)
    run_out(holder)
    finish(world)
    assert world.parked[-1] == set()


def test_step_3_fence_leaves_nobody_an_owner_on_the_givers_side(world: World) -> None:
    giver = world.position.stage.owner
    epoch = world.sides[giver].epoch
    run_until(world, world.begin(), "drain")
    assert (world.sides[giver].owner, world.sides[giver].epoch) == ("none", epoch + 1)
    assert not any(state.accepts for state in world.sides.values())


def test_step_4_drain_brings_every_write_to_the_taker(world: World) -> None:
    giver = world.position.stage.owner
    holder = world.begin()
    run_until(world, holder, "fence")
    for _ in range(3):
        world.write(giver)
    run_until(world, holder, "offer")
    assert world.sides[giver.other].rows >= set(world.sides[giver].log)


def test_step_5_commit_is_the_point_of_no_return(world: World) -> None:
    taker = world.position.stage.owner.other
    holder = world.begin()
    run_until(world, holder, "commit")
    assert not any(state.accepts for state in world.sides.values())
    holder.step(KILLED_AFTER)
    assert (world.monolith.owner, world.operation.step) == (taker, "confirm")
    finish(world)
    assert [world.monolith.owner, world.service.owner] == [taker, taker]
    assert world.receipts[-1][1] == "done"


def test_step_5_commit_whose_answer_is_lost_goes_forward(world: World) -> None:
    taker = world.position.stage.owner.other
    holder = world.begin()
    run_until(world, holder, "commit")
    holder.step(LOST)
    run_out(holder)
    assert world.receipts[-1][1] == "done"
    assert world.monolith.owner == taker


def test_step_6_flip_is_published_only_after_the_taker_confirmed(world: World) -> None:
    before, taker = world.position, world.position.stage.owner.other
    holder = world.begin()
    run_until(world, holder, "flip")
    assert world.sides[taker].accepts
    assert world.position == before
    run_until(world, holder, "reverse")
    assert world.position.stage.owner is taker


@pytest.mark.parametrize("is_late", [False, True])
def test_step_6_a_pause_ends_with_the_proxies_and_the_reverse_mirror_waits_for_no_late_one(is_late: bool) -> None:
    happened, now = [], [0.0]

    class Plane:
        def publish(self, running: Running, position: Position) -> dict[str, Any]:
            return {}

        def converged(self, *, timeout_s: float) -> dict[str, str]:
            now[0] += 0.1
            if is_late and not happened:
                happened.append("late")
                raise NotConverged("one proxy did not acknowledge")
            happened.append("converged")
            return {"one": "1.2"}

    class Guarded:
        guard = staticmethod(nullcontext)

    def fill(_: Running) -> None:
        happened.append("reverse mirror")
        now[0] += 5.0

    parts = dict.fromkeys(("judge", "drain", "verify"))
    over = HandOver(giver=Side.MONOLITH, sides={}, plane=Plane(), ledger=Guarded(), streams=fill, clock=lambda: now[0], **parts)  # type: ignore[arg-type]
    flipped = over.flip(Running("7", "payments", "advance", CANARY, LIVE, "flip", 1, data={"held_at": 0.0}))
    assert happened == (["late", "reverse mirror", "converged"] if is_late else ["converged", "reverse mirror"])
    assert flipped["pause_ms"] == (5200.0 if is_late else 100.0)


def test_step_7_reverse_ends_with_one_receipt(world: World) -> None:
    receipts = len(world.receipts)
    holder = world.begin()
    run_until(world, holder, "reverse")
    assert len(world.receipts) == receipts
    run_out(holder)
    assert [outcome for _, outcome in world.receipts[receipts:]] == ["done"]


@pytest.mark.parametrize("verdict", [KILLED, KILLED_AFTER])
@pytest.mark.parametrize("step", STEPS)
def test_step_killed_in_it_the_tick_undoes_before_the_commit_and_goes_forward_after(
    world: World, step: str, verdict: str
) -> None:
    giver, committed = world.position.stage.owner, step in FORWARD
    holder = world.begin()
    run_until(world, holder, step)
    if step == "commit":
        verdict = KILLED  # killed after it is a test of its own
    holder.step(verdict)
    finish(world)
    owner = giver.other if committed else giver
    assert [world.monolith.owner, world.service.owner] == [owner, owner]
    assert world.monolith.epoch == world.service.epoch
    assert world.position.stage.owner is owner
    assert len(world.receipts) == len(world.begun)


@pytest.mark.parametrize("step", BEFORE)
def test_step_refused_before_the_commit_is_undone_at_a_higher_epoch(world: World, step: str) -> None:
    giver, epoch, at = world.position.stage.owner, world.monolith.epoch, world.position
    holder = world.begin()
    run_until(world, holder, step)
    holder.step(REFUSED)
    run_out(holder)
    finish(world)
    fences_at_once = giver is Side.MONOLITH  # fence and record are one transaction there
    touched = step in (("drain", "offer", "commit") if fences_at_once else ("fence", "drain", "offer", "commit"))
    assert [world.monolith.owner, world.service.owner] == [giver, giver]
    assert world.monolith.epoch == epoch + (2 if touched else 0)
    assert world.position == at
    assert world.receipts[-1][1] in ("undone", "refused", "done")


def test_step_over_max_pause_undoes_itself_and_names_the_slow_step() -> None:
    world = World()
    holder = world.begin()
    run_until(world, holder, "drain")
    world.now += 0.9
    run_until(world, holder, "undo-owner")
    assert world.operation is not None
    assert "the slow step was drain" in world.operation.error
    run_out(holder)
    assert world.receipts[-1][1] == "undone"
    assert world.monolith.accepts


@pytest.mark.parametrize("step", PAUSED)
def test_step_that_is_slow_is_undone_in_time_and_named(world: World, step: str) -> None:
    """Whichever of those that park writes it is, there and back."""
    giver = world.position.stage.owner
    holder = world.begin()
    run_until(world, holder, step)
    world.now += 0.9
    while world.operation and not world.operation.undoing:
        holder.step()
    assert world.operation is not None
    assert f"the slow step was {step} (9" in world.operation.error
    run_out(holder)
    assert world.receipts[-1][1] == "undone"
    assert world.sides[giver].accepts


def test_step_a_zombie_that_wakes_after_the_undo_changes_nothing(world: World) -> None:
    """It slept between its last record and its next call; meanwhile the operation was undone and another one went through."""
    zombies = []
    for step in ("fence", "offer", "commit"):
        holder = world.begin()
        run_until(world, holder, step)
        zombies.append(holder)
        finish(world)
    run_out(world.begin())
    settled, tables = sides(world), len(world.tables)
    for zombie in zombies:
        run_out(zombie)
    assert sides(world) == settled
    assert len(world.tables) == tables
    assert len(world.receipts) == len(world.begun)


@pytest.mark.parametrize("strict", [True, False])
def test_p16_a_fence_that_arrives_late_is_refused(strict: bool) -> None:
    """Its sender was overtaken, and the rollback undone. Without P16's refusal the service would stop owning by an old word."""
    world = live_world()
    zombie = world.begin()
    run_until(world, zombie, "fence")
    finish(world)
    world.strict = strict
    run_out(zombie)
    assert world.service.accepts == strict


def test_p22_rollback_from_a_dead_service_is_refused_before_anything_is_parked() -> None:
    world = live_world()
    before, tables = sides(world), len(world.tables)
    holder = world.begin()
    while world.operation and world.operation.step == "gates" and not holder.ended:
        holder.step(REFUSED)
        if world.operation and world.operation.error:
            break
    run_out(holder)
    finish(world)
    assert sides(world) == before
    assert len(world.tables) == tables
    assert world.service.accepts


def test_p22_rollback_that_lost_the_service_after_the_fence_waits_for_its_word() -> None:
    """The service may have heard the fence: only it can say that it owns again, and until then nobody does."""
    world = live_world()
    holder = world.begin()
    run_until(world, holder, "fence")
    holder.step(LOST)
    while not holder.ended:
        holder.step(REFUSED if world.operation and world.operation.step == "undo-owner" else OK)
    assert world.operation is not None
    assert not any(state.accepts for state in world.sides.values())
    finish(world)
    assert world.service.accepts
    assert world.receipts[-1][1] == "undone"


def test_undo_of_a_cutover_does_not_wait_for_the_service() -> None:
    world = World()
    holder = world.begin()
    run_until(world, holder, "offer")
    holder.step(REFUSED)
    while not holder.ended:
        holder.step(REFUSED if world.operation and world.operation.step == "undo-other" else OK)
    assert world.monolith.accepts
    finish(world)
    assert world.service.epoch == world.monolith.epoch
    assert world.position == CANARY
    assert world.service.owner == Side.MONOLITH


@pytest.mark.parametrize("side", [Side.MONOLITH, Side.SERVICE])
@pytest.mark.parametrize("step", STEPS)
def test_p16_a_side_that_closes_itself_in_any_step_keeps_the_operation_from_no_end(world: World, step: str, side: Side) -> None:
    """Its database is another one meanwhile: it refuses what the operation says. Only after the end can it be reconciled."""
    holder = world.begin()
    run_until(world, holder, step)
    holder.kill()
    state = world.sides[side]
    state.change(state.epoch + 1, "none", "its database is another one")
    for _ in range(3):
        if world.operation:
            run_out(world.take_over())
    assert world.operation is None
    assert not (world.monolith.accepts and world.service.accepts)
