"""The ledger of a project, from all that can be asked about it: its source, the registries and the database, what was recorded.

Each part may be left out, and none depends on another's luck: what could not be looked at is in ``skipped``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from django.apps import apps

from strangler.analysis import live, static, survey
from strangler.analysis.static.relations_in_templates import relations_in_templates
from strangler.analysis.static.source import Project
from strangler.analysis.static.template_tags import wires_in_templates
from strangler.analysis.survey.facts import facts
from strangler.analysis.wiring import wired
from strangler.domain.coupling.edges import Edge, Evidence, Found, Kind, Skipped, joined
from strangler.domain.coupling.ledger import Ledger
from strangler.errors import StranglerError

PARTS = ("static", "live", "runtime")
ORDER = {kind: place for place, kind in enumerate(Kind)}
Progress = Callable[[str, int, int], None]


def silent(part: str, done: int, whole: int) -> None:
    """Tells nobody."""


def collect(
    *,
    only: Collection[str] = PARTS,
    moves: Mapping[str, str] | None = None,
    recorded: Path | None = None,
    database: bool = True,
    progress: Progress = silent,
) -> Ledger:
    """Of the project that ``loading.setup`` has set up as far as it goes: where the apps can't be loaded, their source is read.

    ``moves``: what if ``{"shop.Invoice": "billing"}``. ``recorded``: a file of what a test run recorded, besides what the
    database has. ``database`` false: it is not asked. ``progress`` is told the part, how much of it is done, how much there is.
    Raises ``Misconfigured`` for a wrong ``strangler.toml``.
    """
    project = wired(survey.project(moves=moves))
    found: dict[str, Found] = {}
    sizes: dict[str, tuple[int | None, int | None]] = {}
    if "live" in only and apps.ready:
        progress("live", 0, 0)
        found["live"] = _tried("live", lambda: _live(project, database, sizes))
    if "runtime" in only and apps.ready:
        progress("runtime", 0, 0)
        found["runtime"] = _tried("runtime", lambda: _runtime(recorded, database))
    if "static" in only:
        found["static"] = _source(project, progress)
    parts = [found[part] for part in PARTS if part in found]
    return Ledger(
        contexts=facts(project, sizes),
        edges=ordered(edge for part in parts for edge in part.edges),
        skipped=named_once((*project.skipped, *(one for part in parts for one in part.skipped))),
        looked_at={part: dict(found[part].looked_at) for part in PARTS if part in found and found[part].looked_at},
    )


def _tried(part: str, ask: Callable[[], Found]) -> Found:
    """What a project's own code raises when it is asked takes one part along, not the others."""
    try:
        return ask()
    except StranglerError:
        raise
    except Exception as error:
        return Found((), (Skipped("part", part, f"{type(error).__name__}: {error}"),))


def _live(project: Project, database: bool, sizes: dict[str, tuple[int | None, int | None]]) -> Found:
    asked = live.look(project, database=database)
    sizes.update(asked.sizes)
    return asked.found


def _runtime(recorded: Path | None, database: bool) -> Found:
    from strangler.analysis import runtime  # it has models, which can be imported now

    return runtime.read([recorded] if recorded else [], database=database)


def _source(project: Project, progress: Progress) -> Found:
    """Python and templates."""
    read = static.scan(project, lambda done, whole: progress("static", done, whole))
    in_templates = [_tried("templates", partial(look, project)) for look in (wires_in_templates, relations_in_templates)]
    parts = [read, *in_templates]
    return Found(
        tuple(edge for part in parts for edge in part.edges),
        tuple(one for part in parts for one in part.skipped),
        {what: count for part in parts for what, count in part.looked_at.items()},
    )


def ordered(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """One edge for each key, in an order that does not depend on who came first."""
    listed = sorted(joined(edges), key=lambda edge: (ORDER[edge.kind], edge.key))
    return tuple(replace(edge, evidence=tuple(sorted(edge.evidence, key=_place))) for edge in listed)


def _place(evidence: Evidence) -> tuple[int, str, int, str]:
    """What ran most comes first; then by place."""
    return -evidence.count, evidence.file, evidence.line, evidence.text


def named_once(listed: Iterable[Skipped]) -> tuple[Skipped, ...]:
    return tuple(sorted(set(listed), key=lambda one: (one.what, one.where, one.why)))
