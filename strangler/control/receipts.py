"""Receipts: the immutable record of each transition. Written once, with the end of its operation, and chained (``chain``)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from strangler import conf
from strangler.control import chain
from strangler.control.models import Receipt
from strangler.control.saga import DONE, Running
from strangler.domain.gates import Verdict
from strangler.domain.stages import Position, Stage
from strangler.errors import Misuse

NOTHING_MOVED = {
    "hold": "a hold moves nothing, and ended by itself",
    "reconcile": "the owner that the stage calls for was set anew; no stage has changed",
    "parity reset": "what was counted before does not count any more, and stays so",
    "discard": "the rows stay where they are; to send them again: strangler sync quarantine retry",
}


def write(running: Running, outcome: str, *, using: str) -> Receipt:
    """To be called in the transaction that ends the operation."""
    data = running.data
    return Receipt.objects.using(using).create(
        operation=running.id,
        context=running.context,
        verb=running.verb,
        who=running.who,
        why=running.why,
        from_stage=str(running.at.stage),
        from_percent=running.at.percent,
        to_stage=str(running.to.stage),
        to_percent=running.to.percent,
        outcome=outcome,
        verdicts=data.get("verdicts", []),
        proxies=data.get("proxies", {}),
        steps_ms=data.get("steps_ms", {}),
        pause_ms=data.get("pause_ms"),
        error="" if outcome == DONE else running.error,
    )


def remark(context: str, verb: str, at: Position, *, who: str, why: str = "", verdicts: Sequence[Verdict] = ()) -> Receipt:
    """Of what a person did and no operation stands for: it moves nothing. To be called in the transaction that does it."""
    return Receipt.objects.using(conf.setting("DATABASE")).create(
        operation=uuid.uuid4(),
        context=context,
        verb=verb,
        who=who,
        why=why.strip(),
        from_stage=str(at.stage),
        from_percent=at.percent,
        to_stage=str(at.stage),
        to_percent=at.percent,
        outcome=DONE,
        verdicts=[verdict.to_json() for verdict in verdicts],
    )


def listed(context: str | None = None, limit: int = 20) -> list[Receipt]:
    """The last ``limit``, the newest last."""
    found = Receipt.objects.using(conf.setting("DATABASE")).order_by("-id")
    return list((found.filter(context=context) if context else found)[:limit])[::-1]


def numbered(number: int) -> Receipt:
    """Raises ``Misuse`` where there is none."""
    found = Receipt.objects.using(conf.setting("DATABASE")).filter(id=number).first()
    if found is None:
        raise Misuse(f"there is no receipt {number}; see: strangler receipts")
    return found


def ends(receipt: Receipt) -> tuple[Position, Position]:
    """From where, to where."""
    return (
        Position.of(Stage(receipt.from_stage), receipt.from_percent),
        Position.of(Stage(receipt.to_stage), receipt.to_percent),
    )


def way(receipt: Receipt) -> str:
    at, to = ends(receipt)
    return str(at) if at == to else f"{at} → {to}"


@dataclass(frozen=True)
class Inverse:
    """The one command that takes a transition back; without one, ``reason`` says why there is none."""

    command: str = ""
    reason: str = ""


def inverse(receipt: Receipt) -> Inverse:
    """As of the moment of the receipt. Where the context has moved on, it goes back further."""
    at, to = ends(receipt)
    if receipt.outcome != DONE:
        return Inverse(reason=f"nothing to take back: it was {receipt.outcome}, and {receipt.context} is {at} as before")
    if at == to:
        return Inverse(reason=NOTHING_MOVED.get(receipt.verb, f"{receipt.verb} moved nothing"))
    share = f" --percent {at.percent}" if at.stage is Stage.CANARY else ""
    return Inverse(f"strangler {'rollback' if at < to else 'advance'} {receipt.context} --to {at.stage}{share}")


def to_json(receipt: Receipt) -> dict[str, Any]:
    back = inverse(receipt)
    return {
        "id": receipt.pk,
        "operation": str(receipt.operation),
        "context": receipt.context,
        "verb": receipt.verb,
        "from": {"stage": receipt.from_stage, "percent": receipt.from_percent},
        "to": {"stage": receipt.to_stage, "percent": receipt.to_percent},
        "outcome": receipt.outcome,
        "who": receipt.who,
        "why": receipt.why,
        "pause_ms": receipt.pause_ms,
        "steps_ms": receipt.steps_ms,
        "proxies": receipt.proxies,
        "verdicts": receipt.verdicts,
        "error": receipt.error,
        "at": chain.content(receipt)["at"],
        "inverse": back.command or None,
        "no_inverse": back.reason,
        "previous": receipt.previous,
        "hash": receipt.hash,
    }
