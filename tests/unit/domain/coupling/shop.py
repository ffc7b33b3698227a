"""The shop's ledger, made by hand from its list of planted couplings: what a collection should find there, without one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from strangler.domain.coupling.edges import Edge, Evidence, Kind
from strangler.domain.coupling.ledger import ContextFacts, Ledger, TableFacts

LIST = Path(__file__).parents[4] / "monolith" / "couplings.toml"
NAMES = {"settings_import": Kind.SETTING, "template": Kind.TEMPLATE_RELATION, "update_expression": Kind.FOREIGN_WRITE}
LEFT_OUT = {"route", "bulk_create", "bulk_update"}  # not kinds of the ledger
MAIN = {"users": "User", "customers": "Customer", "products": "Product", "orders": "Order", "payments": "Payment"}
TABLES = {
    "users": {"User": (5_000, 3_000_000)},
    "customers": {"Customer": (5_000, 1_200_000), "Address": (9_000, 2_000_000)},
    "products": {"Product": (800, 700_000)},
    "orders": {"Order": (40_000, 12_000_000), "OrderLine": (110_000, 19_000_000)},
    "payments": {"Payment": (41_000, 2_900_000), "Refund": (900, 100_000)},
    "shell": {"Note": (300, 90_000)},
}
ENDPOINTS = {"orders": ("GET,POST /api/orders/", "POST /api/orders/checkout/"), "payments": ("GET,POST /api/payments/",)}
RAN = {
    "monolith/orders/checkout.py:_place": ("request POST /api/orders/checkout/", "request POST /checkout/"),
    "monolith/orders/receivers.py:_on_captured": ("request POST /api/payments/<int:pk>/capture/",),
    "monolith/shell/sampling.py:fill": ("command seed",),
}
WHAT = {
    "monolith/customers/receivers.py:on_user": "post_save users.User",
    "monolith/orders/receivers.py:_on_log_in": "user_logged_in",
    "monolith/orders/receivers.py:_on_captured": "monolith.payments.contract.payment_captured",
    "monolith/shell/receivers.py:on_refund": "post_save payments.Refund",
    "monolith/orders/admin.py:OrderAdmin.search_fields": "customer__name",
    "monolith/customers/admin.py:CustomerAdmin.search_fields": "user__email",
    "monolith/payments/selectors.py:search": "order__number",
}
TEXT = {
    "monolith/payments/models.py:Payment.order": ('order = models.ForeignKey("orders.Order", on_delete=models.CASCADE)', 14),
    "monolith/payments/selectors.py:search": ("Payment.objects.filter(order__number=text)", 31),
    "monolith/orders/checkout.py:_place": ("INSERT INTO orders_order …", 0),
}
NOTES = {"Payment.order": "on_delete=CASCADE", "Payment.user": "on_delete=PROTECT", "Refund.asked_by": "on_delete=SET_NULL"}


def shop() -> Ledger:
    looked_at = {"static": {"files": 144}, "live": {"models": 63}, "runtime": {"statements": 9_120}}
    contexts = {name: facts(name) for name in TABLES}
    return Ledger(contexts, tuple(edges()), (), looked_at)


def facts(name: str) -> ContextFacts:
    tables = tuple(TableFacts(f"{name}.{model}", f"{name}_{model}".lower(), *size) for model, size in TABLES[name].items())
    return ContextFacts(name, name != "shell", (f"monolith.{name}",), tables, ENDPOINTS.get(name, ()))


def edges() -> Iterator[Edge]:
    for listed in tomllib.loads(LIST.read_text(encoding="utf-8"))["coupling"]:
        for to in listed["to"]:
            if listed["kind"] not in LEFT_OUT and to != listed["from"]:
                yield edge(listed, to)
    for source, target in (("orders", "payments"), ("orders", "customers"), ("orders", "products"), ("payments", "orders")):
        yield Edge(Kind.SEAM, source, target, f"monolith/{source}/services.py:*", f"monolith.{target}.contract")


def edge(listed: dict[str, Any], to: str) -> Edge:
    where, kind = listed["where"], NAMES.get(listed["kind"]) or Kind(listed["kind"])
    text, line = TEXT.get(where, ("", 0))
    seen = 12 if where in RAN else 0
    proof = Evidence(where.partition(":")[0], line, text, seen, RAN.get(where, ()))
    return Edge(kind, listed["from"], to, where, what(kind, listed, to), NOTES.get(where.partition(":")[2], ""), (proof,))


def what(kind: Kind, listed: dict[str, Any], to: str) -> str:
    where = listed["where"]
    if where in WHAT and kind in (Kind.LOOKUP, Kind.SIGNAL):
        return WHAT[where]
    if kind is Kind.TRANSACTION:
        return ", ".join(sorted(f"{name}_{MAIN[name]}".lower() for name in {listed["from"], *listed["to"]} & set(MAIN)))
    if kind in (Kind.RAW_SQL, Kind.DATABASE_VIEW, Kind.FOREIGN_WRITE):
        return f"{to}_{MAIN[to]}".lower()
    return f"{to}.{MAIN[to]}" if kind not in (Kind.LOOKUP, Kind.SELECT_RELATED, Kind.PREFETCH_RELATED) else to.removesuffix("s")
