"""Strings of SQL that name another context's table, where they stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from strangler.analysis.static import sql
from strangler.analysis.static.paths import Words
from strangler.analysis.static.queries import NOTHING, ground
from strangler.analysis.static.scopes import words
from strangler.analysis.static.source import Finding, Project, Source
from strangler.analysis.static.strings import Strings
from strangler.domain.coupling.edges import Kind

# What is only said to people.
SAYING = words(
    "debug info warning warn error exception critical log print input fail write format_html _ gettext gettext_lazy "
    "message_user add_argument"
)
SAYING_IN = words("help help_text verbose_name description short_description label title doc")
PARTS = words("where tables select order_by")  # of extra()


class RawSql:
    nodes: ClassVar[tuple[type[ast.AST], ...]] = (
        ast.Constant,
        ast.JoinedStr,
        ast.BinOp,
        ast.Call,
        ast.Expr,
        ast.Raise,
        ast.Assign,
        ast.AugAssign,
        ast.keyword,
    )

    def __init__(self, project: Project, source: Source) -> None:
        self.atlas = project.atlas
        tables = ground(project)[0].tables(source.context)
        self.known = tables.all
        if not _concerned("\n".join(source.lines).lower(), tables):
            self.nodes = ()  # type: ignore[misc]  # so the walk shows it none
            return
        self.strings = Strings(source, project)
        self.seen: set[int] = set()
        self.growing: dict[tuple[str, str], str] = {}  # scope and name → the text that is put together there

    def look(self, node: ast.AST) -> Iterator[Finding]:
        if id(node) in self.seen:
            return NOTHING
        if type(node) is ast.Constant:
            return self._read(node) if type(node.value) is str and len(node.value) > 12 else NOTHING
        return self._look(node)

    def _look(self, node: ast.AST) -> Iterator[Finding]:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            self.seen.add(id(node.value))  # a docstring
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            yield from self._assign(node)
        elif isinstance(node, ast.Raise):
            self._leave(node)
        elif isinstance(node, ast.keyword):
            if node.arg in SAYING_IN:
                self._leave(node)
        elif isinstance(node, ast.Call):
            yield from self._call(node)
        elif isinstance(node, (ast.JoinedStr, ast.BinOp)):
            yield from self._whole(node)

    def _assign(self, node: ast.Assign | ast.AugAssign) -> Iterator[Finding]:
        """``text = "SELECT …"``, and then ``text += " FROM …"``."""
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and isinstance(node.value, (ast.Constant, ast.JoinedStr, ast.BinOp, ast.Call)):
            key = self.strings.source.scope, target.id
            before = self.growing.get(key, "") if isinstance(node, ast.AugAssign) else ""
            self.growing[key] = text = before + self.strings.read(node.value)
            if before:
                yield from self._told(text, node)

    def _call(self, node: ast.Call) -> Iterator[Finding]:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in SAYING:
            self._leave(node)
        elif name == "extra":
            for keyword in node.keywords:
                if keyword.arg in PARTS:
                    yield from self._parts(keyword.value, keyword.arg == "tables")
        elif name == "RawSQL" and node.args:
            yield from self._parts(node.args[0], False)
        elif name in ("format", "join"):
            yield from self._whole(node)

    def _whole(self, node: ast.AST) -> Iterator[Finding]:
        """Of a string that is put together: its parts are not looked at on their own, if it could be read."""
        text = self.strings.read(node)
        if sql.tables(text, self.known):
            for part in ast.walk(node):
                self.seen.add(id(part))
            yield from self._told(text, node)

    def _read(self, node: ast.Constant) -> Iterator[Finding]:
        return self._told(str(node.value), node)

    def _told(self, text: str, node: ast.AST) -> Iterator[Finding]:
        for table, writes in sql.tables(text, self.known):
            yield Finding(
                Kind.RAW_SQL, self.atlas.of_table(table), table, "writes" if writes else "reads", _line(text, table, node)
            )

    def _parts(self, node: ast.expr, tables: bool) -> Iterator[Finding]:
        """Of ``extra`` and ``RawSQL``: conditions and columns; whole statements are found as all others are."""
        for one in ast.walk(node):
            if isinstance(one, ast.Constant) and isinstance(one.value, str) and not sql.STATEMENT.match(one.value):
                name = one.value.strip('"').lower()
                found = [name] if tables and name in self.known else [each.table for each in sql.columns(one.value, self.known)]
                for table in found:
                    yield Finding(Kind.RAW_SQL, self.atlas.of_table(table), table, "reads", one.lineno)

    def _leave(self, node: ast.AST) -> None:
        for part in ast.walk(node):
            if isinstance(part, (ast.Constant, ast.JoinedStr, ast.BinOp)):
                self.seen.add(id(part))


def _concerned(text: str, tables: Words) -> bool:
    """Cheap: whether a table can be named in a file, and in SQL."""
    spoken = sql.looks_like(text) or ".extra(" in text or "rawsql" in text
    return spoken and ("db_table" in text or tables.in_text(text))


def _line(text: str, table: str, node: ast.AST) -> int:
    """Of the table's name in a string over several lines."""
    line = int(getattr(node, "lineno", 0))
    if isinstance(node, ast.Constant) and (node.end_lineno or 0) > line:
        return line + text[: max(text.lower().find(table), 0)].count("\n")
    return line
