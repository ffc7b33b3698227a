"""What makes a process record: its connections, and the last flush at its end."""

from __future__ import annotations

from django.db import connections

from strangler import conf
from strangler.analysis import rehearsing
from strangler.analysis.runtime import sessions, watching
from strangler.analysis.usage import flushing, statements


def install() -> None:
    """On the monolith, on PostgreSQL, unless ``USAGE`` and ``LEDGER`` are off. Idempotent.

    A run of tests whose ledger goes to a file needs neither PostgreSQL nor tables of ours.
    """
    rehearsing.install()
    path = sessions.asked()
    if path:
        sessions.begin(path)
    elif conf.side() == "monolith" and connections[conf.setting("DATABASE")].vendor == "postgresql":
        flushing.counts_usage = bool(conf.setting("USAGE"))
        share = float(conf.setting("LEDGER"))
        if share > 0:
            watching.install(share)
        if share > 0 or flushing.counts_usage:
            statements.install()
            flushing.install()
