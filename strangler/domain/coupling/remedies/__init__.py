"""What to do about each crossing, in words that quote its code, and what of it this product does by itself."""

from __future__ import annotations

from strangler.domain.coupling.atlas import PROJECT
from strangler.domain.coupling.edges import Edge
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.natures import Nature, nature, shared
from strangler.domain.coupling.reach import Reach
from strangler.domain.coupling.remedies import classes, code, keys, messages, pages, reads, writes
from strangler.domain.coupling.remedies.case import Case
from strangler.domain.coupling.remedies.catalogue import Advice, Remedy, Setting, quoted, rendered

__all__ = ["Advice", "Remedy", "Setting", "advice", "advices", "declaration", "quoted"]

BY_NATURE = {
    Nature.READ: reads.read,
    Nature.WRITE: writes.write,
    Nature.KEY: keys.key,
    Nature.MODEL: classes.model,
    Nature.CODE: code.code,
    Nature.MESSAGE: messages.message,
    Nature.PAGE: pages.page,
    Nature.AGREED: code.agreed,
}


def advice(edge: Edge, leaving: str = "", reach: Reach | None = None) -> Advice:
    """``leaving``: the context that is taken out, of the two; without one it is the target, unless that never moves.

    ``reach`` knows the rest of the ledger; without it the advice names no models that the edge does not name itself.
    """
    out = leaving or (edge.source if edge.target == PROJECT else edge.target)
    advise = code.goes_along if shared(edge) else BY_NATURE[nature(edge)]
    return advise(Case(edge, out, reach or Reach(Ledger())))


def advices(ledger: Ledger, leaving: str) -> tuple[Advice, ...]:
    """One for every crossing of the context, in the ledger's order."""
    reach = Reach(ledger)
    return tuple(advice(edge, leaving, reach) for edge in reach.crossings.get(leaving, ()))


def declaration(ledger: Ledger, leaving: str) -> tuple[str, ...]:
    """All that the advices on a context say for ``strangler.toml``, as its lines."""
    return rendered(leaving, (setting for each in advices(ledger, leaving) for setting in each.settings))
