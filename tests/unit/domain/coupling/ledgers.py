"""Any ledger, small, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from strangler.domain.coupling.edges import Edge, Evidence, Kind
from strangler.domain.coupling.ledger import ContextFacts, Ledger, TableFacts

NAMES = ("a", "b", "c", "d", "e")
TABLES = tuple(f"{name}_{kind}" for name in NAMES for kind in ("one", "two"))
RUNS = ("request POST /a/<int:pk>/", "request GET /b/", "task a.t", "command c")


@st.composite
def edges(draw: st.DrawFn) -> Edge:
    kind = draw(st.sampled_from(Kind))
    source, target = draw(st.sampled_from((*NAMES, "project"))), draw(st.sampled_from((*NAMES, "project")))
    where = draw(st.sampled_from(["x/m.py:A.f", "x/m.py:*", "y.html", "y/n.py:B", "database:v"]))
    named = st.lists(st.sampled_from(TABLES), min_size=1, max_size=3, unique=True)
    if kind is Kind.TRANSACTION:
        what = ", ".join(sorted(draw(named)))
    elif kind is Kind.JOIN:
        what = " + ".join(sorted(draw(named)))
    else:
        what = draw(st.sampled_from([*TABLES, f"{target}.One", "f__g", "post_save a.One", "x.y.z"]))
    note = draw(st.sampled_from(["", "declared", "writes", "sends", "on_delete=CASCADE", "through=a.Two"]))
    by = tuple(draw(st.lists(st.sampled_from(RUNS), max_size=2, unique=True)))
    proof = Evidence("x/m.py", draw(st.integers(0, 3)), draw(st.sampled_from(["", "f(x)", "A.objects.order_by('f__g')"])), 1, by)
    return Edge(kind, source, target, where, what, note, draw(st.sampled_from([(), (proof,)])))


def crossing() -> st.SearchStrategy[Edge]:
    return edges().filter(lambda edge: edge.source != edge.target)


@st.composite
def ledgers(draw: st.DrawFn, most: int = 25) -> Ledger:
    listed = draw(st.lists(crossing(), max_size=most, unique_by=lambda edge: edge.key))
    asked = draw(st.sets(st.sampled_from(["static", "live", "runtime"])))
    return ledger(*listed, asked=tuple(sorted(asked)))


def ledger(*listed: Edge, asked: tuple[str, ...] = ("static", "live", "runtime"), names: tuple[str, ...] = NAMES) -> Ledger:
    """Each context has two tables, of 10 rows and 1,000 bytes, and of 20 and 2,000."""
    sizes = (("One", "one", 10, 1000), ("Two", "two", 20, 2000))
    tables = {name: tuple(TableFacts(f"{name}.{model}", f"{name}_{end}", *size) for model, end, *size in sizes) for name in names}
    contexts = {name: ContextFacts(name, True, (f"shop.{name}",), tables[name]) for name in names}
    return Ledger(contexts, listed, (), {source: {"files": 1} for source in asked})
