"""Strings of SQL that name other contexts' tables; and prose that only reads like it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from strangler.analysis.static import sql, walk
from strangler.analysis.static.raw_sql import RawSql
from tests.unit.analysis.static.shop import project, seen


def found(source: str, module: str = "shop.reports.code") -> set[str]:
    """``orders_order reads``"""
    return {f"{what} {note}" for _, what, note in seen(RawSql, source, module, ["what", "note"])}


READS, WRITES = {"orders_order reads"}, {"orders_order writes"}
FOUND = {
    "a constant": ("X = 'SELECT * FROM orders_order'", READS),
    "a schema and quotes": ("""X = 'select * from "public"."orders_order"'""", READS),
    "a join": ("X = 'SELECT 1 FROM reports_snapshot s JOIN orders_order o ON o.id = s.id'", READS),
    "a subquery": ("X = 'SELECT 1 FROM reports_snapshot WHERE id IN (SELECT id FROM orders_order)'", READS),
    "parameters": ("X = 'SELECT 1 FROM orders_order WHERE id = %s AND a = %(b)s AND c LIKE \\'x%%\\''", READS),
    "an update": ("X = 'UPDATE orders_order SET number = 1'", WRITES),
    "a deletion": ("X = 'DELETE FROM orders_order'", WRITES),
    "an insertion from another": (
        "X = 'INSERT INTO orders_order (id) SELECT id FROM orders_line'",
        WRITES | {"orders_line reads"},
    ),
    "a truncation": ("X = 'TRUNCATE orders_order, orders_line'", WRITES | {"orders_line writes"}),
    "a change of the table": ("X = 'ALTER TABLE orders_order ADD COLUMN x int'", WRITES),
    "a view": ("X = 'CREATE VIEW v AS SELECT * FROM orders_order'", READS),
    "a lock": ("X = 'LOCK TABLE orders_order'", WRITES),
    "a function's body": (
        "X = 'CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN UPDATE orders_order SET x = 1; END $$ LANGUAGE plpgsql'",
        WRITES,
    ),
    "two statements": ("X = 'SELECT 1; DELETE FROM orders_order'", WRITES),
    "read and written": ("X = 'WITH x AS (SELECT id FROM orders_order) UPDATE orders_order SET number = 1'", WRITES),
    "an f-string": ("f'SELECT * FROM orders_order WHERE id = {x} AND {y} ORDER BY {z}'", READS),
    "a model's table": ("from shop.orders.models import Order\nf'SELECT * FROM {Order._meta.db_table}'", READS),
    "a constant of the module": ("TABLE = 'orders_order'\nf'SELECT * FROM {TABLE}'", READS),
    "format": ("'SELECT {} FROM {table}'.format(x, table='orders_order')", READS),
    "percent": ("'SELECT 1 FROM %s' % 'orders_order'", READS),
    "percent of a dict": ("'SELECT 1 FROM %(t)s' % {'t': 'orders_order'}", READS),
    "a sum": ("'SELECT ' + columns + ' FROM orders_order WHERE ' + condition", READS),
    "a text that grows": ("def f():\n text = 'SELECT 1 '\n text += 'FROM orders_order'\n execute(text)", READS),
    "a block": ("X = 'DO $$ BEGIN PERFORM 1 FROM orders_order; END $$'", READS),
    "psycopg's": ("sql.SQL('SELECT * FROM {}').format(sql.Identifier('orders_order'))", READS),
    "RunSQL": ("class Migration:\n operations = [migrations.RunSQL(['DELETE FROM orders_order'])]", WRITES),
    "RawSQL": ("RawSQL('(SELECT max(id) FROM orders_order)', [])", READS),
    "part of a condition": ("q.extra(where=['orders_order.number = 1'])", READS),
    "another table": ("q.extra(tables=['orders_order'])", READS),
    "in a column": ("q.extra(select={'x': '(SELECT 1 FROM orders_order)'})", READS),
    "in capitals, and not to be parsed": ("X = 'SELECT 1 FROM orders_order WHERE (((a ='", READS),
}


@pytest.mark.parametrize("name", FOUND)
def test_sql_is_found(name: str) -> None:
    source, expected = FOUND[name]
    assert found(source) == expected


NONE = {
    "a docstring": "def f():\n '''SELECT * FROM orders_order'''",
    "a log message": "log.info('select one from orders_order')",
    "an error": "raise ValueError(f'delete from orders_order {x}')",
    "help": "Field(help_text='select from orders_order')",
    "prose": "X = 'Select an order from orders_order, please.'",
    "prose that updates": "X = 'Update orders_order set failed'",
    "a word": "X = 'orders_order'",
    "a name given by WITH": "X = 'WITH orders_order AS (SELECT 1) SELECT * FROM orders_order'",
    "a literal": "X = \"SELECT 'FROM orders_order' FROM reports_snapshot\"",
    "a column": "X = 'SELECT s.orders_order FROM reports_snapshot s'",
    "an alias": "X = 'SELECT 1 AS orders_order FROM reports_snapshot'",
    "a comment": "X = 'SELECT 1 FROM reports_snapshot -- orders_order'",
    "its own table": "X = 'SELECT * FROM reports_snapshot'",
    "no table of a model": "X = 'SELECT * FROM orders_orders'",
    "half a name": "X = 'SELECT * FROM old_orders_order'",
}


@pytest.mark.parametrize("name", NONE)
def test_what_only_looks_like_sql_is_not(name: str) -> None:
    assert found(NONE[name]) == set()


def test_a_name_given_by_with_hides_the_table_only_where_it_is_given() -> None:
    sql = "SELECT * FROM (WITH orders_order AS (SELECT 1) SELECT * FROM orders_order) x, orders_line, orders_order"
    assert found(f"X = '{sql}'") == {"orders_line reads", "orders_order reads"}
    assert found("X = 'WITH orders_order AS (SELECT * FROM orders_order) SELECT * FROM orders_order'") == READS


def test_of_a_statement_too_long_to_be_parsed_the_words_are_read() -> None:
    numbers = ",".join(map(str, range(30_000)))
    assert found(f"Q = 'SELECT * FROM orders_order WHERE id IN ({numbers})'") == READS
    assert found(f"Q = 'a list: {numbers}, select one from orders_order'") == set()


def test_a_part_is_not_counted_again_and_stands_where_it_is() -> None:
    source = "def f(x):\n return ('SELECT * FROM orders_order '\n  + 'WHERE id = ' + x)"
    assert seen(RawSql, source, "shop.reports.code", ["where", "what"]) == {("raw_sql", "f", "orders_order")}


def test_without_the_parser_each_file_whose_sql_is_not_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    sql._tables.cache_clear()
    for name, text in (("a", "X = 'SELECT * FROM orders_order'"), ("b", "X = 1")):
        (tmp_path / f"{name}.py").write_text(text)
    files = {f"shop.reports.{name}": tmp_path / f"{name}.py" for name in "ab"}
    skipped = walk.scan(project(tmp_path, files=files), [RawSql]).skipped
    assert [one.where for one in skipped] == ["a.py"]
    assert "pip install 'django-strangler[analysis]'" in skipped[0].why
