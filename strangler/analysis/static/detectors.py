"""Every detector that the walk shows its nodes to. One line each, sorted; a new kind of coupling is registered here and nowhere else."""

from __future__ import annotations

from strangler.analysis.static.raw_sql import RawSql
from strangler.analysis.static.relations import Relations
from strangler.analysis.static.source import Detector

DETECTORS: tuple[type[Detector], ...] = (
    # keep sorted
    RawSql,
    Relations,
)
