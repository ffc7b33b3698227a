"""The project as Django has loaded it, as plain data: atlas, models, and what the detectors ask of settings, URLs, templates.

Where Django could not load it (``loading``), what its source tells of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.apps import apps

from strangler.analysis import loading
from strangler.analysis.static.source import Project
from strangler.analysis.survey import unloaded
from strangler.analysis.survey.atlas import atlas, base, declared
from strangler.analysis.survey.contexts import absent
from strangler.analysis.survey.modules import modules
from strangler.analysis.survey.schema import models

__all__ = ["atlas", "base", "models", "modules", "project"]


def project(*, moves: Mapping[str, str] | None = None, merges: Iterable[tuple[str, str]] = ()) -> Project:
    """``moves``: ``{"shop.Invoice": "billing"}``; ``merges``: ``[("orders", "payments")]``, the first one's name stays: what if.

    Raises ``Misconfigured`` for a wrong ``strangler.toml``; without one each of the project's own apps is a context.
    """
    if not apps.ready:
        return unloaded.project(moves=moves, merges=merges)
    root = base()
    known = atlas(moves=moves, merges=merges)
    estate = declared()
    found = modules(root, known, tests=estate.tests)
    skipped = (*loading.skipped(), *absent(estate, known.apps), *found.skipped)
    return Project(root, known, models(), found.read, skipped=skipped, tests=found.tests, loaders=estate.loaders)
