"""``manage.py replica_install``: makes a migrated, empty database the lifted service's."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.utils import ProgrammingError

from strangler import conf
from strangler.sync import collections
from strangler.sync.database import alias, connection, rows
from strangler.sync.install import install_replica


class Command(BaseCommand):
    help = (
        "Put capture, fence and ownership of the service's context in place. Run it after `migrate`; it can be run again at any "
        "time, also while the service is the owner. The tables that the mirror fills must be empty at the first time."
    )
    requires_migrations_checks = True

    def handle(self, *args: Any, **options: Any) -> None:
        context = conf.setting("CONTEXT")
        if conf.side() != "service" or not context:
            raise CommandError('This is not a service: its settings need STRANGLER = {"SIDE": "service", "CONTEXT": "…", …}.')
        held = self._ownership(context)
        if held is None:
            self._refuse_to_empty(context)
        install_replica(context)
        owner, epoch = self._ownership(context) or ("monolith", 0)
        done = "installed" if held is None else "in place as before"
        self.stdout.write(f"{context}: {done}; owned by {owner} at epoch {epoch}.")

    def _ownership(self, context: str) -> tuple[str, int] | None:
        try:
            found = rows("SELECT owner, epoch FROM strangler_ownership WHERE context = %s", [context])
        except ProgrammingError as error:
            raise CommandError("The tables of the app strangler are not there. Run `migrate` first.") from error
        return found[0] if found else None

    def _refuse_to_empty(self, context: str) -> None:
        """The first installation empties what the mirror is to fill; rows there say that this is somebody else's database."""
        mirrored = [*collections.for_context(context), *collections.read_copies(context)]
        full = [collection.table for collection in mirrored if rows(f"SELECT 1 FROM {collection.ddl} LIMIT 1")]
        if full:
            database = connection().settings_dict["NAME"]
            raise CommandError(
                f"The database {database} ({alias()!r}) holds rows in {', '.join(full)}, which the first installation would "
                f"delete. Give the service of {context} a database of its own, or empty these tables yourself."
            )
