"""System checks of the tables that move; run by ``manage.py check --database default`` and before ``migrate``."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db.utils import Error as DatabaseError

from strangler import conf
from strangler.sync import collections, install
from strangler.sync.database import alias, port, rows

UNMIGRATED = "does not exist; run manage.py migrate"


@register(Tags.database)
def check_tables(databases: list[str] | None = None, **_: Any) -> list[CheckMessage]:
    """A table that can't be mirrored, and one that lost its triggers although its context is installed (P2)."""
    declared, problems = conf.load()
    if problems or alias() not in (databases or ()):
        return []
    messages: list[CheckMessage] = []
    try:
        installed = {context for (context,) in rows("SELECT context FROM strangler_ownership")}
    except DatabaseError:
        return []  # not migrated yet; there is nothing to lose
    if installed:
        messages += [Warning(said, hint=hint, id="strangler.W032") for said, hint in port().advice()]
    for context in declared.contexts.values():
        if not context.service_urls and context.name not in installed:
            continue
        reasons = [str(error) for error in collections.refused(context.name)]
        messages += [
            Error(f"contexts.{context.name}: {reason}", id="strangler.E030") for reason in reasons if UNMIGRATED not in reason
        ]
        if reasons or context.name not in installed:
            continue
        lost = install.missing(context.name)
        hint = f"Run: strangler sync install {context.name}"
        messages += [Warning(f"contexts.{context.name}: {what}", hint=hint, id="strangler.W031") for what in lost]
    return messages
