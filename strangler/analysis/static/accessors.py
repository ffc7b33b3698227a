"""Uses of what a relation has put on the model at its other end: ``order.payments`` by code that is not of payments."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from strangler.analysis.static.paths import Paths
from strangler.analysis.static.querysets import Flow
from strangler.domain.coupling.models import FieldFacts

BY_NAME = frozenset(("getattr", "hasattr"))


class Used(NamedTuple):
    """``what``: the model that the relation points to, with the accessor: ``orders.Order.payments``. ``through``: of an M2M."""

    related: str
    what: str
    through: str


def used(flow: Flow, node: ast.AST) -> Iterator[Used]:
    """Of ``order.payments``, and of ``getattr(order, "payments")``."""
    if isinstance(node, ast.Attribute):
        owner, name = node.value, node.attr
    elif isinstance(node, ast.Call) and len(node.args) > 1:
        owner, name = node.args[0], flow.text(node.args[1])
    else:
        return
    base = flow.value(owner)
    if base is not None and base.shape == "one":
        for label in base.labels:
            field = flow.paths.attribute(label, name)
            if field is not None and field.kind.startswith("reverse_") and field.kind != "reverse_generic":
                yield Used(field.related, f"{declared(flow.paths, label, field)}.{name}", field.through)


def declared(paths: Paths, label: str, field: FieldFacts) -> str:
    """The model that the relation names: the label's own, a parent, or what it is a proxy of."""
    if field.owner:
        return field.owner
    model, other = paths.models[label], paths.models.get(field.related)
    ends = {one.related for one in other.fields.values()} if other is not None else set()
    return model.proxy_for if model.proxy_for and label not in ends else label
