"""Management commands by name."""

from __future__ import annotations

from django.core.management import get_commands

from strangler.domain.coupling.atlas import Atlas


def names(atlas: Atlas) -> dict[str, str]:
    """Name → context. None of them is imported."""
    known = {name: app if isinstance(app, str) else type(app).__module__ for name, app in get_commands().items()}
    return {name: atlas.of_module(app) for name, app in sorted(known.items())}
