"""One crossing between two contexts, and what proves it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Kind(StrEnum):
    """What ties one context to another. In the order of who sees it: the source, the live registries, the running code."""

    # read in the source
    IMPORT = "import"
    LATE_IMPORT = "late_import"  # inside a function
    TYPING_IMPORT = "typing_import"  # under TYPE_CHECKING: gone at run time
    SEAM = "seam"  # an import of the context's contract: a crossing as it should be
    GET_MODEL = "get_model"  # apps.get_model, and models named by strings
    LOOKUP = "lookup"  # a path with __ in filter, order_by, values, F, Q, search_fields, …
    SELECT_RELATED = "select_related"
    PREFETCH_RELATED = "prefetch_related"
    RAW_SQL = "raw_sql"
    SIGNAL = "signal"
    TASK = "task"  # a Celery task of another context: by name, or by its function
    ADMIN = "admin"  # another context's model is registered
    ADMIN_INLINE = "admin_inline"
    TEMPLATE = "template"  # include, extends, render of another context's template
    TEMPLATE_RELATION = "template_relation"  # a variable's path follows a relation
    URL_NAME = "url_name"  # reverse(), redirect(), {% url %}
    URL_INCLUDE = "url_include"
    SETTING = "setting"  # a setting that names another context's code, read here
    COMMAND = "command"  # call_command of another context's
    ON_COMMIT = "on_commit"
    MIGRATION = "migration"  # a dependency on another context's migrations

    # asked of the app registry and of the database's catalogue
    FOREIGN_KEY = "foreign_key"
    ONE_TO_ONE = "one_to_one"
    MANY_TO_MANY = "many_to_many"
    GENERIC_FOREIGN_KEY = "generic_foreign_key"
    REVERSE_ACCESSOR = "reverse_accessor"  # code of the target's side that uses what a relation from here put there
    INHERITANCE = "inheritance"  # multi-table, and abstract bases
    PROXY = "proxy"
    SWAPPED = "swapped"  # through a setting such as AUTH_USER_MODEL
    MANAGER = "manager"
    CONSTRAINT = "constraint"  # of the database, that no model declares
    DATABASE_VIEW = "database_view"
    TRIGGER = "trigger"

    # seen while it ran
    JOIN = "join"  # one statement over tables of two contexts
    TRANSACTION = "transaction"  # one transaction that writes two contexts
    FOREIGN_READ = "foreign_read"  # code of one context reads another's tables
    FOREIGN_WRITE = "foreign_write"
    CASCADE = "cascade"


RUNTIME = (Kind.JOIN, Kind.TRANSACTION, Kind.FOREIGN_READ, Kind.FOREIGN_WRITE, Kind.CASCADE)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A line of source, or a statement with those who ran it.

    ``file``: relative to the project, with slashes. ``line``: from 1; 0: the file as a whole. ``text``: the source line, or the
    template of the statement. ``count``: how often it was seen to run, 0 for what was read. ``by``: "request GET /orders/",
    "task orders.settle", "command seed", "test tests/test_x.py::test_y"; at most a handful.
    """

    file: str = ""
    line: int = 0
    text: str = ""
    count: int = 0
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """``source`` knows ``target``. Its key has no line number, so it outlives edits above it.

    ``where``: ``FILE:QUALNAME`` of what knows (``*``: the module itself; a template's path alone); for what only ran, the
    first of ``by``. ``what``: that which is known, as one would search for it: a model's label, a module, a table, a path of
    lookups, a template's, URL's, task's, setting's or key's name. ``note``: what a remedy asks for, such as "on_delete=CASCADE",
    "through=shop.Line", "writes". ``models``: labels of the target's models that a path leads to or through, for those who ask
    which of its tables are read; where it is empty, the relations in the ledger tell what they can.
    """

    kind: Kind
    source: str
    target: str
    where: str
    what: str
    note: str = ""
    evidence: tuple[Evidence, ...] = field(default=(), compare=False)
    models: tuple[str, ...] = field(default=(), compare=False)

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        return self.kind.value, self.source, self.target, self.where, self.what


def joined(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """One for each key, in the order of the first of each, with the evidence of all."""
    alike: dict[tuple[str, ...], list[Edge]] = {}
    for edge in edges:
        alike.setdefault(edge.key, []).append(edge)
    return tuple(those[0] if len(those) == 1 else _one(those) for those in alike.values())


def _one(those: Sequence[Edge]) -> Edge:
    return replace(
        those[0],
        note=next((edge.note for edge in those if edge.note), ""),
        evidence=tuple(dict.fromkeys(proof for edge in those for proof in edge.evidence)),
        models=tuple(dict.fromkeys(label for edge in those for label in edge.models)),
    )


@dataclass(frozen=True, slots=True)
class Skipped:
    """What could not be looked at: a file, a model, a statement. Counted, and shown: a ledger is never silently less."""

    what: str
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What one source of the ledger gives. ``looked_at``: {"files": 412}, {"models": 37}, {"statements": 9120}."""

    edges: tuple[Edge, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    looked_at: dict[str, int] = field(default_factory=dict)
