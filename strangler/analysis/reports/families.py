"""The kinds of coupling by what has to be taken apart: a picture has room for seven colours, not for thirty-eight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from strangler.domain.coupling.edges import RUNTIME, Edge, Kind


@dataclass(frozen=True, slots=True)
class Family:
    """``light`` and ``dark``: its colour on a light and on a dark ground; each has a contrast of 3 : 1 at the least."""

    name: str
    title: str
    light: str
    dark: str
    kinds: tuple[Kind, ...]


FAMILIES = (
    Family(
        "data",
        "the schema",
        "#b42318",
        "#f97066",
        (
            Kind.FOREIGN_KEY, Kind.ONE_TO_ONE, Kind.MANY_TO_MANY, Kind.GENERIC_FOREIGN_KEY, Kind.REVERSE_ACCESSOR,
            Kind.INHERITANCE, Kind.PROXY, Kind.SWAPPED, Kind.MANAGER, Kind.CONSTRAINT, Kind.DATABASE_VIEW, Kind.TRIGGER,
        ),
    ),
    Family(
        "query",
        "queries",
        "#a15c07",
        "#fdb022",
        (Kind.LOOKUP, Kind.SELECT_RELATED, Kind.PREFETCH_RELATED, Kind.RAW_SQL, Kind.TEMPLATE_RELATION),
    ),
    Family(
        "runtime",
        "seen while it ran",
        "#c11574",
        "#f670c7",
        RUNTIME,
    ),
    Family(
        "code",
        "imports and names",
        "#1d5fd1",
        "#70a5fd",
        (Kind.IMPORT, Kind.LATE_IMPORT, Kind.TYPING_IMPORT, Kind.GET_MODEL, Kind.SETTING, Kind.MIGRATION),
    ),
    Family("events", "signals, tasks, hooks", "#6938ef", "#a48afb", (Kind.SIGNAL, Kind.TASK, Kind.ON_COMMIT, Kind.COMMAND)),
    Family(
        "pages",
        "admin, templates, URLs",
        "#0e7090",
        "#22ccee",
        (Kind.ADMIN, Kind.ADMIN_INLINE, Kind.TEMPLATE, Kind.URL_NAME, Kind.URL_INCLUDE),
    ),
    Family("seam", "through a contract", "#067647", "#47cd89", (Kind.SEAM,)),
)  # fmt: skip
BY_KIND = {kind: family for family in FAMILIES for kind in family.kinds}


def leading(edges: Iterable[Edge]) -> Family:
    """That of most edges; of as many, the one that is harder to take apart."""
    counted = Counter(BY_KIND[edge.kind].name for edge in edges)
    return max(FAMILIES, key=lambda family: (counted[family.name], -FAMILIES.index(family)))
