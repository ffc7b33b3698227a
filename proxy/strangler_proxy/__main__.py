"""``strangler-proxy``, also ``python -m strangler_proxy``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from strangler.domain.table import TableError
from strangler_proxy import certificates, table
from strangler_proxy.access_log import event
from strangler_proxy.settings import BadSettings, Settings, parse
from strangler_proxy.workers import serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after a clean stop, 2 for settings that make no sense."""
    try:
        settings = parse(arguments)
        _judge_file(settings)
        certificates.judge(settings)
        serve(settings)
    except BadSettings as error:
        print(f"strangler-proxy: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _judge_file(settings: Settings) -> None:
    """A table that can't be read is fatal where nothing else could bring one; else the control plane's replaces it."""
    if settings.table is None:
        return
    try:
        found = table.load(settings.table)
    except (TableError, OSError) as error:
        wrong = error.strerror if isinstance(error, OSError) else str(error)
        if not settings.redis:
            raise BadSettings(f"the table {settings.table} can't be used: {wrong}") from error
        event("table.unusable", file=settings.table, reason=wrong)
        return
    if found is None and not settings.redis:
        raise BadSettings(f"the table {settings.table} does not exist, and no --redis is given that could bring one")


if __name__ == "__main__":
    sys.exit(main())
