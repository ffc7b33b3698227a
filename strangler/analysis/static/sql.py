"""The tables that a string of SQL names, and which of them it writes. Read by sqlglot, as PostgreSQL's."""

from __future__ import annotations

import functools
import logging
import re
from typing import Any, NamedTuple

HOLE = "strangler_hole"  # what stands in a string for what is put in when it runs
KEYWORDS = (
    "select",
    "insert",
    "update",
    "delete",
    "merge",
    "truncate",
    "alter table",
    "create",
    "drop",
    "copy",
    "refresh",
    "lock",
    "perform",
)
STATEMENT = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*|\(\s*)*"
    r"(?P<verb>select|insert|update|delete|merge|truncate|alter|create|drop|copy|with|explain|refresh|lock|do|grant|analyze|declare)\b",
    re.IGNORECASE | re.DOTALL,
)
BEHIND = re.compile(r'\b(from|join|into|update|table|only|using|on|view)\s+(?:only\s+)?((?:"?\w+"?\.)?"?\w+"?)', re.IGNORECASE)
# A text that can't be parsed is SQL all the same when it writes its words in capitals; prose does not.
SHOUTED = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|MERGE)\b.*\b(?:FROM|INTO|SET|USING)\b", re.DOTALL)
NAMES = re.compile(r"[A-Za-z_]\w*")
PARAMETER = re.compile(r"%%|%\((\w+)\)s|%s")
READING = frozenset(("from", "join", "using", "on"))
LONGEST = 100_000  # characters that the parser is given; of more the words are read
TEMPLATES = 4_096

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of each statement that it does not know


class ParserMissing(Exception):
    """SQL can't be read without sqlglot: pip install 'django-strangler[analysis]'"""


class Named(NamedTuple):
    """``table``: in lower case, without its schema."""

    table: str
    writes: bool


def looks_like(text: str) -> bool:
    """Cheap: whether a word of SQL is in it at all."""
    lower = text.lower()
    return any(word in lower for word in KEYWORDS)


def tables(text: str, known: frozenset[str]) -> tuple[Named, ...]:
    """Those of ``known`` that a whole statement names. Nothing for prose, and for parts of statements."""
    if not looks_like(text):
        return ()
    words = frozenset(NAMES.findall(text.lower())) & known
    if not words or not STATEMENT.match(text):
        return ()
    return tuple(sorted(one for one in (_tables(text) if len(text) <= LONGEST else _by_words(text)) if one.table in words))


def columns(text: str, known: frozenset[str]) -> tuple[Named, ...]:
    """Of a part of a statement (``extra(where=…)``): the tables before the points, and those of subqueries."""
    words = frozenset(NAMES.findall(text.lower())) & known
    if not words:
        return ()
    sqlglot, exp = _parser()
    try:
        tree: Any = sqlglot.parse_one(f"SELECT 1 WHERE {_without_parameters(text)}", read="postgres")
    except Exception:  # the parser's own errors, and RecursionError: the text is whatever somebody wrote
        return ()
    found = {str(column.table).lower() for column in tree.find_all(exp.Column)}
    found |= {str(table.name).lower() for table in tree.find_all(exp.Table)}
    return tuple(Named(table, False) for table in sorted(found & words))


@functools.lru_cache(maxsize=TEMPLATES)
def _tables(text: str) -> frozenset[Named]:
    sqlglot = _parser()[0]
    try:
        statements: list[Any] = sqlglot.parse(_without_parameters(text), read="postgres")
    except Exception:  # as above
        return _by_words(text) if HOLE in text or SHOUTED.search(text) else frozenset()
    found: set[Named] = set()
    for statement in statements:
        found |= _of(statement, text) if statement is not None else set()
    return _written_first(found)


def _parser() -> tuple[Any, Any]:
    """Raises ``ParserMissing``, so that each file whose SQL is not read is named."""
    try:
        import sqlglot
        from sqlglot import exp
    except ImportError as error:
        raise ParserMissing(ParserMissing.__doc__) from error
    return sqlglot, exp


def _without_parameters(text: str) -> str:
    return PARAMETER.sub(lambda found: "%" if found[0] == "%%" else ":p", text)


def _of(statement: Any, text: str) -> set[Named]:
    exp = _parser()[1]
    if isinstance(statement, exp.Command):
        return set(_by_words(text))
    kinds = (exp.Query, exp.DML, exp.DDL, exp.Merge, exp.TruncateTable, exp.Copy, exp.Alter, exp.Drop, exp.Values)
    if not isinstance(statement, kinds) or _is_prose(statement, exp):
        return set()
    written = {id(table) for table in _targets(statement, exp)}
    found = set()
    for table in statement.find_all(exp.Table):
        name = str(table.name).lower()
        if name and not _is_common(table, exp):
            found.add(Named(name, id(table) in written))
    for body in statement.find_all(exp.Literal, exp.Heredoc, exp.RawString) if isinstance(statement, exp.Create) else ():
        found |= _by_words(str(body.this)) if STATEMENT.search(str(body.this)) or "begin" in str(body.this).lower() else set()
    return found


def _is_prose(statement: Any, exp: Any) -> bool:
    """``Update the order set aside`` parses, but sets nothing."""
    return isinstance(statement, exp.Update) and not all(isinstance(one, exp.EQ) for one in statement.expressions)


def _targets(statement: Any, exp: Any) -> list[Any]:
    targets: list[Any] = []
    for node in statement.find_all(
        exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.TruncateTable, exp.Copy, exp.Alter, exp.Drop
    ):
        if isinstance(node, exp.TruncateTable):
            targets += node.expressions
        elif not (isinstance(node, exp.Copy) and not node.args.get("kind")):  # COPY … TO reads
            named = [node.this, *(node.args.get("tables") or [])]
            targets += [table for one in named if one is not None and (table := one.find(exp.Table)) is not None]
    return targets


def _is_common(table: Any, exp: Any) -> bool:
    """A name that a WITH around it has given is no table."""
    if table.args.get("db"):
        return False
    name, node = str(table.name).lower(), table.parent
    while node is not None:
        given = node.args.get("with_") or node.args.get("with")
        if given is not None and any(name == str(one.alias).lower() for one in given.expressions):
            own = table.find_ancestor(exp.CTE)
            return not (own is not None and str(own.alias).lower() == name and not given.args.get("recursive"))
        node = node.parent
    return False


def _by_words(text: str) -> frozenset[Named]:
    """Of what the parser can't read, such as a function's body: names behind FROM, JOIN, INTO and so on."""
    found = set()
    for word, name in BEHIND.findall(text):
        found.add(Named(name.rpartition(".")[2].strip('"').lower(), word.lower() not in READING))
    return _written_first(found)


def _written_first(found: set[Named]) -> frozenset[Named]:
    """A table that is both is written."""
    written = {one.table for one in found if one.writes}
    return frozenset(one for one in found if one.writes or one.table not in written)
