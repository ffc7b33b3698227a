"""A ledger with all that follows from it: quotes, ranking, cycles, advice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from strangler.analysis.reports.words import Words
from strangler.domain.coupling.cycles import Cycle, cycles
from strangler.domain.coupling.difficulty import weight
from strangler.domain.coupling.edges import Edge
from strangler.domain.coupling.exercised import Exercise, compare
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.natures import crossings
from strangler.domain.coupling.quote import Quote, quote, quotes
from strangler.domain.coupling.ranking import Rank, ranking
from strangler.domain.coupling.reach import Reach
from strangler.domain.coupling.remedies import Advice, advice
from strangler.domain.coupling.wording import cycle, rows


@dataclass(frozen=True)
class Judged:
    """Each is reckoned once, when it is asked for."""

    ledger: Ledger

    @cached_property
    def quotes(self) -> tuple[Quote, ...]:
        return quotes(self.ledger)

    @cached_property
    def ranking(self) -> tuple[Rank, ...]:
        return ranking(self.quotes)

    @cached_property
    def cycles(self) -> tuple[Cycle, ...]:
        return cycles(self.ledger)

    @cached_property
    def exercise(self) -> Exercise | None:
        """What is declared against what ran; None where one of the two is not known."""
        declared = self.ledger.asked("static") or self.ledger.asked("live")
        return compare(self.ledger) if declared and self.ledger.asked("runtime") else None

    @cached_property
    def words(self) -> Words:
        """All of it, for the page."""
        listed = {one.context: one for one in self.quotes}
        listed |= {name: quote(self.ledger, name) for name in self.ledger.contexts if name not in listed}
        return Words(
            remedy=lambda edge: told(self.advice(edge)),
            quotes={name: rows(one) for name, one in listed.items()},
            ranking=tuple((one.context, f"{one.reason}.") for one in self.ranking),
            cycles=tuple(map(cycle, self.cycles)),
        )

    @cached_property
    def _reach(self) -> Reach:
        return Reach(self.ledger)

    def advice(self, edge: Edge, leaving: str = "") -> Advice:
        """``leaving``: the context that is taken out; without one the target."""
        return advice(edge, leaving, self._reach)

    def weighed(self, context: str) -> tuple[Edge, ...]:
        """Its crossings both ways, the dearest first."""
        order = {edge.key: place for place, edge in enumerate(self.ledger.edges)}
        listed = crossings(self.ledger, context)
        return tuple(sorted(listed, key=lambda edge: (-weight(edge, edge.source == context), order[edge.key])))


def told(one: Advice) -> str:
    """Remedy, reason, and what to do, without the code, which stands beside it."""
    return f"{one.remedy.value}: {one.because} {one.instead}"
