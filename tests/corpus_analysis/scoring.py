"""Precision and recall of each kind, over all projects, with each miss and each false alarm by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from strangler.domain.coupling.edges import Kind
from tests.corpus_analysis.reading import Key, Labelled

WANTED = 0.95
Named = tuple[str, Key]  # project, edge


@dataclass
class Score:
    """``look_alikes``: how many of the labels say "not this kind"; none of them may be among the false alarms."""

    kind: str
    found: list[Named] = field(default_factory=list)
    missed: list[Named] = field(default_factory=list)
    false: list[Named] = field(default_factory=list)
    look_alikes: int = 0

    @property
    def labelled(self) -> int:
        return len(self.found) + len(self.missed)

    @property
    def recall(self) -> float:
        return len(self.found) / self.labelled if self.labelled else 1.0

    @property
    def precision(self) -> float:
        return len(self.found) / (len(self.found) + len(self.false)) if self.found or self.false else 1.0

    @property
    def met(self) -> bool:
        """A kind of which nothing is labelled has not been shown to be found."""
        return self.labelled > 0 and min(self.recall, self.precision) >= WANTED


def scores(projects: Iterable[Labelled], answers: Mapping[str, Iterable[Iterable[str]]]) -> dict[str, Score]:
    """By kind, in the order of ``Kind``. ``answers``: project → keys of edges. A base's edges count in the base alone, whatever
    of them is missing elsewhere."""
    table = {kind.value: Score(kind.value) for kind in Kind}
    for project in projects:
        given = {tuple(edge) for edge in answers[project.name]} - project.known
        for edge in sorted(project.edges):
            (table[edge[0]].found if edge in given else table[edge[0]].missed).append((project.name, edge))
        for edge in sorted(given - project.edges):
            table[edge[0]].false.append((project.name, edge))  # type: ignore[arg-type]
        for other in project.look_alikes:
            table[other.kind].look_alikes += 1
    return table


def told(score: Score) -> str:
    """One line, and one for each edge that is not as labelled."""
    head = (
        f"{score.kind:19} recall {score.recall:.2f} of {score.labelled:3}, precision {score.precision:.2f}, "
        f"{score.look_alikes:3} look-alikes{'' if score.met else '  NOT MET'}"
    )
    wrong = [(sign, named) for sign, listed in (("missed", score.missed), ("false alarm", score.false)) for named in listed]
    return "\n".join([head, *(f"  {sign}: {name}: {said(edge)}" for sign, (name, edge) in wrong)])


def said(edge: Key) -> str:
    kind, source, target, where, what = edge
    return f"{kind} {source} > {target} {where} {what}"
