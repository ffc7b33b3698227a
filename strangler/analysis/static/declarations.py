"""Paths that classes declare: admins, views, filters, serializers, models' ``Meta``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from strangler.analysis.static.lookups import Asked, Lookups
from strangler.analysis.static.querysets import Flow
from strangler.analysis.static.scopes import words
from strangler.analysis.static.texts import Text, texts

LOOKUPS = words(
    "search_fields list_filter ordering list_display date_hierarchy filterset_fields filter_fields ordering_fields lookup_field "
    "slug_field fields get_latest_by sortable_by"
)
PREFIXES = "^=@$-"  # of search_fields and ordering
# Of fields of serializers and filters: keyword → what stands between the names.
SOURCES = {"source": ".", "field_name": "__", "lookup_field": "__", "slug_field": "__"}
# Methods of an admin or a view that give what the attribute would.
METHODS = {
    "get_search_fields": "search_fields",
    "get_ordering": "ordering",
    "get_list_display": "list_display",
    "get_list_filter": "list_filter",
    "get_list_select_related": "list_select_related",
}


def declared(flow: Flow, node: ast.expr, labels: tuple[str, ...], lookups: Lookups) -> Iterator[Asked]:
    """``list_filter`` has pairs of a path and a class; ``ordering`` may have expressions."""
    for text in _firsts(flow, node):
        yield Asked(labels, text.text.lstrip(PREFIXES), text.node)
    yield from lookups.expression(node, labels)


def _firsts(flow: Flow, node: ast.expr) -> Iterator[Text]:
    if isinstance(node, (ast.List, ast.Tuple)):
        for one in node.elts:
            pair = isinstance(one, ast.Tuple) and len(one.elts) == 2
            yield from texts(flow, one.elts[0] if pair and isinstance(one, ast.Tuple) else one)
    elif not isinstance(node, ast.Call) or getattr(node.func, "id", "") in ("list", "tuple", "dict"):
        yield from texts(flow, node)


def sourced(flow: Flow, node: ast.Call, labels: tuple[str, ...]) -> Iterator[tuple[Asked, str]]:
    """Of ``CharField(source="customer.email")`` and ``CharFilter(field_name="customer__email")``, with the separator."""
    for keyword in node.keywords:
        separator = SOURCES.get(keyword.arg or "")
        if separator:
            for text in texts(flow, keyword.value):
                if separator in text.text:
                    yield Asked(labels, text.text, text.node), separator
        elif keyword.arg == "fields":  # of an OrderingFilter
            for text in _firsts(flow, keyword.value):
                yield Asked(labels, text.text, text.node), "__"
