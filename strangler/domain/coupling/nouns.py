"""What one edge of a kind is called; more of them take an s."""

from __future__ import annotations

from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.sizes import plural

NOUNS = {
    Kind.SEAM: "contract import",
    Kind.GET_MODEL: "model name",
    Kind.SELECT_RELATED: "select_related path",
    Kind.PREFETCH_RELATED: "prefetch_related path",
    Kind.RAW_SQL: "raw SQL statement",
    Kind.ADMIN: "admin registration",
    Kind.URL_NAME: "URL name",
    Kind.URL_INCLUDE: "URL include",
    Kind.ON_COMMIT: "on_commit hook",
    Kind.ONE_TO_ONE: "one-to-one key",
    Kind.MANY_TO_MANY: "many-to-many relation",
    Kind.INHERITANCE: "inherited model",
    Kind.PROXY: "proxy model",
    Kind.SWAPPED: "swapped model",
}


def several(kind: Kind, count: int) -> str:
    """``3 transactions``, ``1 select_related path``, ``2 model names``."""
    return plural(count, NOUNS.get(kind, kind.value.replace("_", " ")))
