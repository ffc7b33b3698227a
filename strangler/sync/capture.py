"""Capture: triggers that note a pointer for each changed key in the writer's own transaction (P1, P2, P5).

How they do it, and which interleavings they stand, is in ``databases.postgresql.capture`` and ``databases.sqlite.capture``.
"""

from __future__ import annotations

from strangler.sync import ddl
from strangler.sync.collections import Collection
from strangler.sync.database import port


def statements(collection: Collection, using: str | None = None) -> list[str]:
    """All the DDL that captures the collection; what ``sync install --sql`` prints for a DBA."""
    return port(using).capture_statements(collection)


def install(collection: Collection, using: str | None = None) -> bool:
    """Capture the collection; True if something had to be done. Idempotent, and takes no lock where all is there already."""
    if is_installed(collection, using):
        return False
    ddl.run(statements(collection, using), f"installing capture on {collection.table}", using=using)
    return True


def is_installed(collection: Collection, using: str | None = None) -> bool:
    """The collection's table has all its triggers, they always fire, and they are those of this version."""
    return port(using).is_captured(collection)


def uninstall(collection: Collection, using: str | None = None) -> None:
    port(using).uncapture(collection)


def uninstall_all(using: str | None = None) -> None:
    """Also captures of tables that no longer stand in the estate."""
    port(using).uncapture_all()


def prune(using: str | None = None) -> None:
    """What nothing uses any more: its tables are gone, or have another name."""
    port(using).prune_captures()
