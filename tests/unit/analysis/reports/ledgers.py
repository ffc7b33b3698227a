"""Ledgers to look at: a small one, a hostile one, a large one."""

from __future__ import annotations

from strangler.analysis.reports.crossings import KINDS
from strangler.domain.coupling.edges import Edge, Evidence, Kind, Skipped
from strangler.domain.coupling.ledger import ContextFacts, Ledger, TableFacts

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=document.title='taken'>\"'`${7*7}&lt;\x00\ud800]]>"


def edge(kind: Kind, source: str, target: str, what: str = "orders.Order", line: int = 3, **more: object) -> Edge:
    file = f"shop/{source}/models.py"
    text = str(more.pop("text", f"order = models.ForeignKey({what!r})"))
    where = str(more.pop("where", f"{file}:Thing.{what}"))
    note = str(more.pop("note", ""))
    return Edge(kind, source, target, where, what, note, (Evidence(file, line, text),))


def facts(name: str, tables: int = 2, *, declared: bool = True) -> ContextFacts:
    made = tuple(TableFacts(f"{name}.T{n}", f"{name}_t{n}", rows=1000 * n, size=65536 * n) for n in range(tables))
    return ContextFacts(
        name, declared, (f"shop.{name}",), made, (f"GET /{name}/<int:pk>/",), (f"{name}.tidy",), (f"tidy_{name}",), 400
    )


def small() -> Ledger:
    edges = (
        edge(Kind.FOREIGN_KEY, "payments", "orders", note="on_delete=CASCADE"),
        edge(Kind.LOOKUP, "payments", "orders", "order__number", text='Payment.objects.filter(order__number="7")'),
        edge(Kind.LOOKUP, "payments", "users", "user__email"),
        edge(Kind.SIGNAL, "orders", "payments", "shop.payments.contract.captured"),
        edge(Kind.SEAM, "orders", "payments", "shop.payments.contract"),
        edge(Kind.URL_INCLUDE, "project", "orders", "shop.orders.urls"),
        Edge(
            Kind.JOIN, "payments", "orders", "shop/payments/api.py:search", "orders_order + payments_payment",
            evidence=(Evidence("shop/payments/api.py", 9, "SELECT … JOIN orders_order", 41, ("request GET /search/",)),),
        ),
    )  # fmt: skip
    contexts = {name: facts(name) for name in ("users", "orders", "payments")} | {"project": facts("project", 0, declared=False)}
    return Ledger(
        contexts,
        edges,
        (Skipped("file", "shop/broken.py", "invalid syntax (line 3)"),),
        {"static": {"files": 42}, "live": {"models": 6}},
    )


def hostile() -> Ledger:
    """Each text that comes from a project tries to be markup."""
    bad = Edge(
        Kind.RAW_SQL, HOSTILE, "orders", f"shop/{HOSTILE}.py:{HOSTILE}", HOSTILE, HOSTILE,
        (Evidence(HOSTILE, 1, HOSTILE, 1, (HOSTILE,)), Evidence("shop/a.py", 2, HOSTILE)),
    )  # fmt: skip
    contexts = {HOSTILE: facts(HOSTILE), "orders": facts("orders")}
    return Ledger(contexts, (bad,), (Skipped("file", HOSTILE, HOSTILE),), {"static": {"files": 1}})


def large(contexts: int = 30, edges: int = 5000) -> Ledger:
    """Numbers come from a multiplication, not from chance."""
    names = [f"context{n:02}" for n in range(contexts)]
    made = {}
    step = 0
    while len(made) < edges:
        step += 1
        mixed = (step * 2654435761) >> 7
        source, target = names[mixed % contexts], names[(mixed // contexts) % (contexts if step % 3 else 6)]
        if source != target:
            one = edge(KINDS[mixed % len(KINDS)], source, target, f"{target}.Model{step}", line=1 + step % 900)
            made[one.key] = one
    return Ledger(
        {name: facts(name, 1 + n % 12) for n, name in enumerate(names)}, tuple(sorted(made.values(), key=lambda e: e.key))
    )
