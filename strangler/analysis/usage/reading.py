"""A statement's text → the tables that it reads and writes. Parsed once for each template, by sqlglot.

What the parser can't read is told by the words that stand in it: a table that is named there is used in an ``unclear`` way.
"""

from __future__ import annotations

import functools
import logging
import re
from dataclasses import dataclass
from typing import Any

LONG = 4_000  # characters; a longer text is mostly lists of parameters
LONGEST = 100_000
TEMPLATES = 4_096  # kept in memory
DIALECTS = {"postgresql": "postgres", "sqlite": "sqlite", "mysql": "mysql", "oracle": "oracle"}

# (%s, %s, %s) → (%s), and then (a), (a), (a) → (a): the length of a list makes no other template
PARAMETERS = re.compile(r"(%s|%\(\w+\)s)(?:\s*,\s*(?:%s|%\(\w+\)s))+")
REPEATED = re.compile(r"(\([^()]*\))(?:\s*,\s*\1)+")
TEXTS = re.compile(r"'(?:[^']|'')*'")
NUMBERS = re.compile(r"(?<![\w.$\"])\d+(?:\.\d+)?\b")
NUMBER_LISTS = re.compile(r"\b0(?:\s*,\s*0\b)+")

WORD = re.compile(r'"(?:[^"]|"")+"|[^\W\d][\w$]*')
CURSOR = re.compile(r"^\s*DECLARE\s.*?\bCURSOR\b.*?\bFOR\b", re.IGNORECASE | re.DOTALL)
EXPLAIN = re.compile(r"^\s*EXPLAIN\b(?P<how>\s*\([^)]*\)|(?:\s+(?:ANALYZE|VERBOSE)\b)*)", re.IGNORECASE)
# What begins so changes no row, whatever it names.
HARMLESS = (
    "SET RESET SHOW FETCH MOVE CLOSE LOCK VACUUM ANALYZE REINDEX COMMENT GRANT REVOKE LISTEN NOTIFY UNLISTEN DISCARD DEALLOCATE "
    "PRAGMA START SAVEPOINT RELEASE ROLLBACK COMMIT BEGIN END ABORT CHECKPOINT "
)

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of each statement that it does not know


@dataclass(frozen=True)
class Access:
    """Tables by name, in lower case, without their schema. ``unclear``: every word of a text that could not be read."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    unclear: frozenset[str] = frozenset()


NOTHING = Access()


@functools.cache
def can_read() -> bool:
    """Whether the parser is installed."""
    try:
        import sqlglot  # noqa: F401
    except ImportError:
        return False
    return True


def shortened(sql: str) -> str:
    """The text without its repetitions. One that stays very long is cut, and will be told by its words."""
    return REPEATED.sub(r"\1", PARAMETERS.sub(r"\1", sql))[:LONGEST]


def read(vendor: str, sql: str) -> Access:
    """Never raises. Without the parser nothing is read, and nobody is said to have recorded."""
    return _read(vendor, template(sql)) if can_read() else NOTHING


def template(sql: str) -> str:
    """What statements that differ only in values and lengths of lists have in common."""
    bare = NUMBERS.sub("0", TEXTS.sub("''", sql.replace("%%", "%")))
    return REPEATED.sub(r"\1", NUMBER_LISTS.sub("0", PARAMETERS.sub(r"\1", bare)))


@functools.lru_cache(maxsize=TEMPLATES)
def _read(vendor: str, sql: str) -> Access:
    sql = CURSOR.sub("", sql)
    explained = EXPLAIN.match(sql)
    if explained:
        sql = sql[explained.end() :]
    try:
        found = _parsed(vendor, sql)
    except Exception:  # the parser's own errors, and RecursionError: the text is whatever somebody wrote
        found = _by_words(sql)
    if explained and "ANALY" not in explained["how"].upper():  # the plan alone: nothing is written
        return Access(reads=found.reads | found.writes)
    return found


def _parsed(vendor: str, sql: str) -> Access:
    import sqlglot

    reads: set[str] = set()
    writes: set[str] = set()
    dialect = DIALECTS.get(vendor)
    if dialect != "postgres":  # the parser knows Django's parameters in that dialect alone
        sql = sql.replace("%s", "?")
    for statement in sqlglot.parse(sql, read=dialect):
        if statement is not None:
            found = _of(statement, sql)
            if found.unclear:
                return found
            reads |= found.reads
            writes |= found.writes
    return Access(frozenset(reads), frozenset(writes))


def _of(statement: Any, sql: str) -> Access:
    from sqlglot import exp

    if not isinstance(statement, (exp.Query, exp.DML, exp.DDL, exp.Merge, exp.TruncateTable, exp.Copy, exp.Values)):
        harmless = (exp.Alter, exp.Drop, exp.Set, exp.Transaction, exp.Commit, exp.Rollback, exp.Use, exp.Pragma, exp.Comment)
        return NOTHING if isinstance(statement, harmless) else _by_words(sql)
    if isinstance(statement, exp.Create):  # of a table from a query
        query = statement.expression
        return _of(query, sql) if isinstance(query, exp.Query) else NOTHING
    targets: list[Any] = []
    for node in statement.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.TruncateTable, exp.Copy):
        targets += _targets(node, exp)
    written = {id(table) for table in targets}
    read = [table for table in statement.find_all(exp.Table) if id(table) not in written]
    return Access(frozenset(map(_name, read)) - {""}, frozenset(map(_name, targets)) - {""})


def _targets(node: Any, exp: Any) -> list[Any]:
    """The tables that a node writes, wherever in the statement it stands."""
    if isinstance(node, exp.TruncateTable):
        return list(node.expressions)
    if isinstance(node, exp.Copy) and not node.args.get("kind"):
        return []  # TO
    named = [node.this, *(node.args.get("tables") or [])]
    return [table for one in named if one is not None and (table := one.find(exp.Table)) is not None]


def _name(table: Any) -> str:
    return str(table.name).lower()


def words(sql: str) -> frozenset[str]:
    """Every word and quoted name, in lower case: a table that is used is among them."""
    return frozenset(found.strip('"').replace('""', '"').lower() for found in WORD.findall(sql))


def _by_words(sql: str) -> Access:
    first = WORD.search(sql)
    if first is None or f"{first[0].upper()} " in HARMLESS:
        return NOTHING
    return Access(unclear=words(sql))
