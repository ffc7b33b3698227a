"""Every detector that the walk shows its nodes to: one line each, sorted, and nowhere else."""

from __future__ import annotations

from strangler.analysis.static.imports import Imports, ImportsByName
from strangler.analysis.static.migrations import Migrations
from strangler.analysis.static.model_names import GetModel, ModelLabels
from strangler.analysis.static.queries import Queries
from strangler.analysis.static.raw_sql import RawSql
from strangler.analysis.static.source import Detector
from strangler.analysis.static.wiring import Wiring

DETECTORS: tuple[type[Detector], ...] = (
    GetModel,
    Imports,
    ImportsByName,
    Migrations,
    ModelLabels,
    Queries,
    RawSql,
    Wiring,
)
