"""The end of the way: a context that is live retires, and what the monolith keeps of it can be deleted.

There is one transition for it, which ``advance`` makes too. What is asked here besides: whether the tables are kept as a read
copy for what stays, what can be deleted, and a migration that drops the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strangler.analysis.removal import items, migration
from strangler.analysis.removal.items import Removal
from strangler.control import engine, positions, receipts
from strangler.control.models import Receipt
from strangler.control.saga import Progress, silent
from strangler.domain.estate import Context
from strangler.domain.plan import Plan
from strangler.domain.stages import Stage
from strangler.errors import Misuse
from strangler.sync import streams


@dataclass(frozen=True)
class Retired:
    """``moved``: the receipt, or the plan of a dry run; None where it had retired before."""

    context: str
    moved: Receipt | Plan | None
    keeps_copy: bool
    removal: Removal
    migration: Path | None = None

    def to_json(self) -> dict[str, Any]:
        moved = self.moved
        return {
            "context": self.context,
            "plan": moved.to_json() if isinstance(moved, Plan) else None,
            "receipt": receipts.to_json(moved) if isinstance(moved, Receipt) else None,
            "keeps_copy": self.keeps_copy,
            **self.removal.to_json(),
            "migration": str(self.migration) if self.migration else None,
        }


def retire(
    name: str,
    *,
    who: str,
    why: str = "",
    dry_run: bool = False,
    keep_copy: bool = False,
    write_migration: Path | None = None,
    progress: Progress = silent,
) -> Retired:
    """Raises ``Misuse`` before ``live``, ``GatesClosed`` while the monolith's part is used, and what ``advance`` raises."""
    context = positions.context_named(name)
    at = positions.position_of(name)
    if at.stage not in (Stage.LIVE, Stage.RETIRED):
        raise Misuse(f"{name} is {at}, and only what is live can retire; the way there is: strangler advance {name} --to live")
    if write_migration and (keep_copy or dry_run):
        raise Misuse("--write-migration drops the tables; it goes with neither --keep-copy nor --dry-run")
    moved: Receipt | Plan | None = None
    if at.stage is Stage.LIVE:
        done = engine.travel(
            engine.ADVANCE, name, to=Stage.RETIRED, who=who, why=why, dry_run=dry_run, keep_copy=keep_copy, progress=progress
        )
        moved = done if isinstance(done, Plan) else done[-1]
    elif keep_copy and not keeps_copy(context):
        raise Misuse(f"{name} retired without its copy; to have it again: strangler rollback {name}, then retire it anew")
    kept = keep_copy if isinstance(moved, Plan) else keeps_copy(context)
    if write_migration and kept:
        anew = f"strangler rollback {name}, then retire it anew"
        raise Misuse(f"others read the copy of {name}, so its tables stay; to give it up: {anew}")
    file = migration.write(context, write_migration) if write_migration else None
    return Retired(name, moved, kept, items.removal(context), file)


def keeps_copy(context: Context) -> bool:
    return streams.state(context.reverse_stream) == "live"
