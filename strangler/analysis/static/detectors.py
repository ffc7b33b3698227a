"""Every detector that the walk shows its nodes to. One line each, sorted; a new kind of coupling is registered here and nowhere else."""

from __future__ import annotations

from strangler.analysis.static.source import Detector

DETECTORS: tuple[type[Detector], ...] = (
    # keep sorted
)
