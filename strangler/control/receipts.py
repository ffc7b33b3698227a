"""Receipts: the immutable record of each transition. Written once, with the end of its operation."""

from __future__ import annotations

from typing import Any

from strangler import conf
from strangler.control.models import Receipt
from strangler.control.saga import Running
from strangler.domain.stages import Position, Stage


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
        error="" if outcome == "done" else running.error,
    )


def listed(context: str | None = None, limit: int = 20) -> list[Receipt]:
    """The newest first."""
    found = Receipt.objects.using(conf.setting("DATABASE")).order_by("-id")
    return list((found.filter(context=context) if context else found)[:limit])


def way(receipt: Receipt) -> str:
    at = Position.of(Stage(receipt.from_stage), receipt.from_percent)
    to = Position.of(Stage(receipt.to_stage), receipt.to_percent)
    return str(at) if at == to else f"{at} → {to}"


def to_json(receipt: Receipt) -> dict[str, Any]:
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
        "at": receipt.at.isoformat() if hasattr(receipt.at, "isoformat") else None,
    }
