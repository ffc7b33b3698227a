"""A small shop as plain data, and what the detectors see in a module of it. Five contexts, one app each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

from strangler.analysis.static import walk
from strangler.analysis.static.source import Project
from strangler.domain.coupling.atlas import Atlas
from strangler.domain.coupling.models import FieldFacts, ModelFacts

CONTEXTS = ("accounts", "customers", "products", "orders", "payments", "reports")
COLUMNS = {
    "accounts.Account": "email data created",
    "customers.Region": "name",
    "customers.Customer": "name notes",
    "products.Category": "name",
    "products.Product": "name price attributes",
    "orders.Order": "number created extra state",
    "orders.Line": "quantity",
    "orders.Order_wished": "",
    "payments.Payment": "status amount",
    "payments.Refund": "reason",
    "reports.Snapshot": "total",
}
# model, field, kind, the other one, its accessor here ("+": none), its name in lookups, the table between
RELATIONS = [
    ("customers.Customer", "account", "one_to_one", "accounts.Account", "customer", "customer", ""),
    ("customers.Customer", "region", "foreign_key", "customers.Region", "customer_set", "customer", ""),
    ("products.Product", "category", "foreign_key", "products.Category", "product_set", "product", ""),
    ("orders.Order", "customer", "foreign_key", "customers.Customer", "order_set", "order", ""),
    ("orders.Order", "products", "many_to_many", "products.Product", "+", "", "orders.Line"),
    ("orders.Order", "wished", "many_to_many", "products.Product", "wished_in", "wish", "orders.Order_wished"),
    ("orders.Line", "order", "foreign_key", "orders.Order", "lines", "lines", ""),
    ("orders.Line", "product", "foreign_key", "products.Product", "line_set", "line", ""),
    ("orders.Order_wished", "order", "foreign_key", "orders.Order", "+", "", ""),
    ("orders.Order_wished", "product", "foreign_key", "products.Product", "+", "", ""),
    ("payments.Payment", "order", "foreign_key", "orders.Order", "payments", "payment", ""),
    ("payments.Payment", "payer", "foreign_key", "accounts.Account", "+", "", ""),
    ("payments.Refund", "payment", "foreign_key", "payments.Payment", "refund_set", "refund", ""),
]


def models() -> dict[str, ModelFacts]:
    fields = {label: {name: FieldFacts(name) for name in ("id", *names.split())} for label, names in COLUMNS.items()}
    for label, name, kind, other, accessor, query, through in RELATIONS:
        attname = "" if kind == "many_to_many" else f"{name}_id"
        fields[label][name] = FieldFacts(name, kind, other, attname, through=through)
        if accessor != "+":
            fields[other][query] = FieldFacts(query, f"reverse_{kind}", label, "", accessor, through)
    fields["orders.Order"]["snapshots"] = FieldFacts("snapshots", "reverse_generic", "reports.Snapshot", "", "snapshots")
    return {label: _model(label, own) for label, own in fields.items()}


def _model(label: str, fields: dict[str, FieldFacts]) -> ModelFacts:
    app, name = label.split(".")
    querying = (f"shop.{app}.managers.{name}Querying",)
    bases = (f"shop.{app}.models.Abstract{name}", f"shop.{app}.mixins.Dated")
    managers = {"objects": "x.Manager"}
    return ModelFacts(
        label, f"shop.{app}.models", name, f"{app}_{name.lower()}", fields, managers, querying=querying, bases=bases
    )


def project(root: Path = Path("/nowhere"), **changes: object) -> Project:
    known = models()
    atlas = Atlas(
        apps={f"shop.{name}": name for name in CONTEXTS},
        labels={name: name for name in CONTEXTS},
        models={label: label.split(".")[0] for label in known},
        tables={model.table: label.split(".")[0] for label, model in known.items()},
        packages=frozenset({"shop"}),
    )
    made = Project(root=root, atlas=atlas, models=known, settings={"AUTH_USER_MODEL": ("accounts.Account",)})
    return replace(made, **changes)  # type: ignore[arg-type]


def seen(
    detector: type, source: str, module: str = "shop.orders.code", names: Iterable[str] = ("target", "what")
) -> set[tuple[str, ...]]:
    """Of each edge that a detector finds: what is asked for; of ``where`` the part behind the file."""
    text = dedent(source).encode()
    known = project()
    found = walk.look(known, walk.read(known, module, f"{module.replace('.', '/')}.py", text), [detector])
    return {tuple(_of(edge, name) for name in ("kind", *names)) for edge in found}


def _of(edge: object, name: str) -> str:
    told = getattr(edge, name)
    value = ", ".join(told) if isinstance(told, tuple) else str(told)
    return value.partition(":")[2] if name == "where" else value
