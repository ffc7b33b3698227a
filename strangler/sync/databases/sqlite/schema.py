"""Constraints of a SQLite table that come and go: SQLite has no ALTER for them, so the table's text in the catalogue is edited.

This is the procedure that SQLite's documentation gives for adding and removing FOREIGN KEY and NOT NULL constraints, which change
nothing in the stored rows (sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes"). Rebuilding the table,
the other way, would take time in proportion to its rows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from strangler.errors import StranglerError

TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)|(?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])"""
    r"""|(?P<text>'(?:[^']|'')*')|(?P<word>\w+)|(?P<sign>.)""",
    re.S,
)
CONSTRAINTS = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}


@dataclass(frozen=True)
class Token:
    text: str
    start: int
    end: int
    depth: int
    is_quoted: bool

    @property
    def word(self) -> str:
        """In capitals where it may be a keyword."""
        return "" if self.is_quoted else self.text.upper()

    @property
    def name(self) -> str:
        if not self.is_quoted:
            return self.text
        inner = self.text[1:-1]
        return inner if self.text[0] == "[" else inner.replace(self.text[0] * 2, self.text[0])


@dataclass(frozen=True)
class Reference:
    """A REFERENCES clause in a table's text, and the span to take out, which is all of a constraint of the table."""

    columns: tuple[str, ...]
    clause: str
    start: int
    end: int


def references(sql: str) -> list[Reference]:
    """The foreign keys of a CREATE TABLE, in order."""
    found = []
    parts = _definitions(sql)
    for before, part in zip([[], *parts], parts, strict=False):
        words = [token.word for token in part]
        at = next((i for i, token in enumerate(part) if token.word == "REFERENCES" and token.depth == 1), None)
        if at is None:
            continue
        end = _end_of_reference(part, at)
        clause = sql[part[at].start : part[end - 1].end]
        if words[0] in CONSTRAINTS:
            named = [token.name for token in part[words.index("KEY") : at] if token.depth == 2 and token.text not in "(),"]
            found.append(Reference(tuple(named), clause, before[-1].end, part[end - 1].end))
        else:
            first = at - 2 if at >= 2 and words[at - 2] == "CONSTRAINT" else at
            found.append(Reference((part[0].name,), clause, part[first].start, part[end - 1].end))
    return found


def without_reference(sql: str, columns: Sequence[str]) -> str:
    """Raises ``StranglerError`` if there is no foreign key over these columns."""
    for found in references(sql):
        if found.columns == tuple(columns):
            return (
                sql[: found.start].rstrip()
                + (" " if sql[found.end :].lstrip()[:1] not in ",)" else "")
                + sql[found.end :].lstrip()
            )
    raise StranglerError(f"no foreign key over {', '.join(columns)} in: {sql}")


def with_constraint(sql: str, constraint: str) -> str:
    end = _definitions(sql)[-1][-1].end
    return f"{sql[:end]}, {constraint}{sql[end:]}"


def without_not_null(sql: str, column: str) -> str:
    for part in _definitions(sql):
        if part[0].name != column or part[0].word in CONSTRAINTS:
            continue
        for first, second in itertools.pairwise(part):
            if (first.word, second.word, first.depth) == ("NOT", "NULL", 1):
                return sql[: first.start].rstrip() + sql[second.end :]
    return sql


def rewrite(cursor: Any, table: str, sql: str) -> None:
    """Put the text in the catalogue's place, in the caller's transaction."""
    cursor.execute("PRAGMA schema_version")
    (version,) = cursor.fetchone()
    cursor.execute("PRAGMA writable_schema = ON")
    try:
        cursor.execute("UPDATE sqlite_master SET sql = %s WHERE type = 'table' AND name = %s", [sql, table])
        if not cursor.rowcount:
            raise StranglerError(f"SQLite let nobody edit the definition of {table} (is its library in defensive mode?)")
        cursor.execute(f"PRAGMA schema_version = {int(version) + 1}")
    finally:
        cursor.execute("PRAGMA writable_schema = RESET")


def _definitions(sql: str) -> list[list[Token]]:
    """The tokens of each column and constraint between the outer brackets."""
    parts: list[list[Token]] = [[]]
    for token in _tokens(sql):
        if token.depth == 0:
            continue
        if token.depth == 1 and token.text == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _tokens(sql: str) -> Iterator[Token]:
    """``depth``: how many brackets are around the token. The outer ones have 0 themselves, inner ones that of their content."""
    depth = 0
    for found in TOKEN.finditer(sql):
        if found.lastgroup == "space":
            continue
        text = found.group()
        if text == "(":
            depth += 1
        yield Token(
            text, found.start(), found.end(), depth - 1 if depth == 1 and text in "()" else depth, found.lastgroup == "quoted"
        )
        if text == ")":
            depth -= 1


def _end_of_reference(part: Sequence[Token], at: int) -> int:
    """The index behind the last token of the clause that begins at ``at``."""
    end = at + 2
    while end < len(part) and part[end].depth > 1:
        end += 1
    while end < len(part):
        words = [token.word for token in part[end : end + 4]] + [""] * 4
        if words[0] == "ON":
            end += 4 if words[2] in ("SET", "NO") else 3
        elif words[0] == "MATCH":
            end += 2
        elif words[0] == "DEFERRABLE" or words[:2] == ["NOT", "DEFERRABLE"]:
            end += 2 if words[0] == "NOT" else 1
            end += 2 if end < len(part) and part[end].word == "INITIALLY" else 0
        else:
            break
    return end
