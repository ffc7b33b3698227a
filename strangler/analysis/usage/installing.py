"""What makes a process record: its connections, and the last flush at its end."""

from __future__ import annotations

from django.db import connections

from strangler import conf
from strangler.analysis.usage import flushing, statements


def install() -> None:
    """On the monolith, on PostgreSQL, unless ``USAGE`` is off. Idempotent."""
    if conf.side() == "monolith" and conf.setting("USAGE") and connections[conf.setting("DATABASE")].vendor == "postgresql":
        statements.install()
        flushing.install()
