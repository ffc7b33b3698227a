"""Ownership that both sides lost track of, set anew at a higher epoch: after a fail-over or a restore (P16)."""

from __future__ import annotations

import uuid

from django.db import transaction

from strangler import conf
from strangler.control import receipts
from strangler.control.errors import Busy
from strangler.control.handover import Owning
from strangler.control.ledger import DatabaseLedger, describe, open_operation
from strangler.control.models import Operation
from strangler.control.positions import context_named, position_of
from strangler.control.publish import publish_current
from strangler.control.sides import MonolithSide, ServiceSide
from strangler.domain.gates import State, Verdict
from strangler.domain.stages import Side
from strangler.errors import Misuse, StranglerError
from strangler.seams import sweep_orphans
from strangler.sync import stranded

RECONCILE = "reconcile"


def reconcile(context: str, *, who: str, why: str = "") -> tuple[int, str]:
    """The owner that the stage calls for, on both sides, at one epoch above both. Gives (epoch, owner).

    The side that is not to own is told first, so that there are never two. Both must answer. Refused while a dead service's
    last changes are not collected.
    """
    declared = context_named(context)
    DatabaseLedger().take_up()
    operation = open_operation()
    if operation:
        raise Busy(f"an operation is under way and settles ownership itself: {describe(operation)}")
    stranded.refuse(context)  # its collector tells the service itself, after it has read what that has
    at = position_of(context)
    owner = at.stage.owner
    sides: dict[Side, Owning] = {Side.MONOLITH: MonolithSide(declared.name), Side.SERVICE: ServiceSide(declared.name)}
    known = {side: port.read() for side, port in sides.items()}
    if len({(said.epoch, said.owner) for said in known.values()}) == 1 and known[owner].owner == owner:
        raise Misuse(f"{context}: both sides take the {owner} for the owner at epoch {known[owner].epoch}; nothing to reconcile")
    epoch = max(said.epoch for said in known.values()) + 1
    identity = f"reconcile {uuid.uuid4()}"
    found = ", ".join(f"{side} says {said.owner} at epoch {said.epoch}" for side, said in known.items())
    verdict = Verdict("ownership", State.FAIL, found, f"{owner} on both sides", f"set anew at epoch {epoch}")
    for side in (owner.other, owner):
        if side is Side.SERVICE:
            sides[side].change(epoch=epoch, owner=owner, operation=identity)
            continue
        with transaction.atomic(using=conf.setting("DATABASE")):
            sides[side].change(epoch=epoch, owner=owner, operation=identity)
            receipts.remark(context, RECONCILE, at, who=who, why=why, verdicts=[verdict])
    if owner is Side.MONOLITH:
        sweep_orphans(context)  # a rollback that met a closed fence left them
    publish_current()
    return epoch, str(owner)


def tell_owed() -> list[str]:
    """Services that missed an undo hear of it now. Gives their contexts; one that doesn't answer waits for the next time.

    One that was left by break-glass hears of the owner from whoever collects what it has, and not before that is read (P22).
    """
    told = []
    owing = Operation.objects.using(conf.setting("DATABASE")).filter(finished_at__isnull=False, data__owed=True)
    for operation in owing:
        if open_operation():
            break  # a hand-over begins by telling it, and must not be disturbed
        if stranded.pending(operation.context):
            continue
        try:
            monolith, service = MonolithSide(operation.context).read(), ServiceSide(operation.context)
            if service.read().epoch < monolith.epoch:
                service.change(epoch=monolith.epoch, owner=monolith.owner, operation=monolith.operation)
        except StranglerError:
            continue
        operation.data = {**operation.data, "owed": False}
        operation.save(update_fields=["data"])
        told.append(operation.context)
    return told
