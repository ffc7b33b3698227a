"""The tables that a database function's body names: by the statements in it where they can be read, else by its words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

BY_WORDS = "by its words"
COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
TEXTS = re.compile(r"'(?:[^']|'')*'")
STARTS = re.compile(r"\b(SELECT|INSERT\s+INTO|UPDATE|DELETE\s+FROM|WITH|MERGE\s+INTO|PERFORM)\b", re.IGNORECASE)
INTO = re.compile(r"\bINTO\s+(?:STRICT\s+)?[\w.]+(?:\s*,\s*[\w.]+)*(?=\s+FROM\b)", re.IGNORECASE)
STATED = r'\b(?:from|join|into|update|table|only)\s+(?:"?\w+"?\.)?"?{0}"?(?!\w)'
DECLARED = re.compile(r"(?:\bdeclare|;)\s*(\w+)\s+(?:constant\s+)?[\w.]+(?:\[\]|%\w+)?\s*(?=;|:=|=|default|not\s+null)")
"""Variables, in lower case."""
NAMED = r'(?<![\w.])"?{0}"?(?![\w(])'


class Body(NamedTuple):
    """``note``: "reads", "writes", or "by its words"."""

    table: str
    note: str


def tables_in(body: str, language: str, known: Collection[str]) -> list[Body]:
    """Each known table once, a write before a read. What a statement that is put together at run time names can't be told apart
    from other words, so it counts, and says so."""
    text = COMMENTS.sub(" ", body)
    found: dict[str, str] = {}
    for table, note in _stated(text) if language in ("plpgsql", "sql", "sqlite") else ():
        if table in known and found.get(table) != "writes":
            found[table] = note
    words = _words(text)
    variables = set(DECLARED.findall(words))
    for table in known:
        if table not in found and table in words and _is_meant(table, words, variables):
            found[table] = BY_WORDS
    return [Body(*one) for one in sorted(found.items())]


def _words(text: str) -> str:
    """Without texts for people; those that are run as statements stay."""
    return ";".join(part if "execute" in part else TEXTS.sub("''", part) for part in text.lower().split(";"))


def _is_meant(table: str, words: str, variables: Collection[str]) -> bool:
    """One word alone may be a column or a variable; names as Django makes them have an underscore."""
    name = re.escape(table)
    if re.search(STATED.format(name), words):
        return True
    return "_" in table and table not in variables and bool(re.search(NAMED.format(name), words))


def _stated(text: str) -> Iterator[tuple[str, str]]:
    try:
        import sqlglot
    except ImportError:  # without the extra `analysis` words have to do
        return
    for part in _statements(text):
        try:
            tree = sqlglot.parse_one(part, dialect="postgres")
        except (sqlglot.errors.SqlglotError, RecursionError):
            continue
        yield from _of_tree(tree)


def _statements(text: str) -> list[str]:
    """From the word that begins one to the semicolon. ``PERFORM f()`` is a SELECT; the variables of INTO are no tables."""
    found = []
    for part in TEXTS.sub(lambda match: match[0].replace(";", " "), text).split(";"):
        start = STARTS.search(part)
        if start:
            statement = re.sub(r"^PERFORM\b", "SELECT", part[start.start() :].strip(), flags=re.IGNORECASE)
            found.append(INTO.sub(" ", statement) if statement[:6].upper() in ("SELECT", "WITH") else statement)
    return found


def _of_tree(tree: Any) -> Iterator[tuple[str, str]]:
    from sqlglot import exp

    of_with = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    written = set()
    for node in tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge):
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        if isinstance(target, exp.Table):
            written.add(id(target))
    for one in tree.find_all(exp.Table):
        if one.name and one.name.lower() not in of_with:
            yield one.name.lower(), "writes" if id(one) in written else "reads"
