"""Constraints taken out of a table's text, and put back, with nothing else of it changed."""

from __future__ import annotations

import sqlite3

import pytest

from strangler.errors import StranglerError
from strangler.sync.databases.sqlite import schema

TABLE = """CREATE TABLE "a table" (id integer NOT NULL PRIMARY KEY, -- a comment, with ( in it
 "holder_id" bigint NULL REFERENCES "people, (all)" ("id") DEFERRABLE INITIALLY DEFERRED,
 b int CONSTRAINT x REFERENCES p ON DELETE SET NULL NOT NULL CHECK (b IN (1, 2)), c text DEFAULT 'a,b(',
 FOREIGN KEY (b, "c") REFERENCES q (x, y) ON UPDATE CASCADE MATCH FULL, UNIQUE (b))"""


def foreign_keys(sql: str) -> list[tuple[str, str]]:
    """(parent, column) as SQLite itself understands the text."""
    with sqlite3.connect(":memory:") as file:
        file.execute(sql)
        found = sorted((row[2], row[3]) for row in file.execute("SELECT * FROM pragma_foreign_key_list('a table')"))
    file.close()
    return found


@pytest.mark.parametrize(
    ("columns", "left"),
    [
        (["holder_id"], [("p", "b"), ("q", "b"), ("q", "c")]),
        (["b"], [("people, (all)", "holder_id"), ("q", "b"), ("q", "c")]),
        (["b", "c"], [("p", "b"), ("people, (all)", "holder_id")]),
    ],
)
def test_one_foreign_key_goes_and_all_else_stays(columns, left):
    without = schema.without_reference(TABLE, columns)
    assert foreign_keys(without) == left
    for kept in ("CHECK (b IN (1, 2))", "DEFAULT 'a,b('", "UNIQUE (b)", "-- a comment, with ( in it"):
        assert kept in without
    again = schema.with_constraint(without, f"FOREIGN KEY ({', '.join(columns)}) REFERENCES back")
    assert len(foreign_keys(again)) == len(foreign_keys(TABLE))


def test_not_null_goes_from_one_column_alone():
    without = schema.without_not_null(TABLE, "b")
    assert without.count("NOT NULL") == TABLE.count("NOT NULL") - 1
    assert "id integer NOT NULL" in without


def test_a_foreign_key_that_is_not_there_is_named():
    with pytest.raises(StranglerError, match="no foreign key over nothing"):
        schema.without_reference(TABLE, ["nothing"])
