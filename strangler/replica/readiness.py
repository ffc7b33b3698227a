"""Why a lifted service can't serve yet, in one sentence with the command to run; nothing if it can."""

from __future__ import annotations

from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError

from strangler import conf
from strangler.sync.database import alias, connection, message, rows

_migrated: set[str] = set()


def missing() -> str:
    """Database reachable, migrations applied, ownership row there; empty when all three are so."""
    context = conf.setting("CONTEXT")
    try:
        unapplied = _unapplied()
        if unapplied:
            return f"{unapplied} migrations are not applied; run: manage.py migrate"
        if not rows("SELECT 1 FROM strangler_ownership WHERE context = %s", [context]):
            return f"{context} is not installed here; run: manage.py replica_install"
    except DatabaseError as error:
        return f"the database does not answer: {message(error)}"
    return ""


def _unapplied() -> int:
    """How many there are. Once there were none it is not looked again: a process's code does not grow migrations."""
    if alias() in _migrated:
        return 0
    executor = MigrationExecutor(connection())
    count = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if not count:
        _migrated.add(alias())
    return count
