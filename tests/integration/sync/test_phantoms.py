"""Differences that are none, which peers report, and those that look like none and are; the sessions have odd settings."""

from __future__ import annotations

import pytest

from strangler.sync import digest
from strangler.sync.collections import Collection
from strangler.sync.columns import columns_of
from strangler.sync.database import connection, snapshot
from strangler.sync.digest import Range
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE

pytestmark = pytest.mark.only("postgresql", "its types; test_sqlite_values has those of SQLite")

SESSIONS = {
    SOURCE: {"TimeZone": "Asia/Tokyo", "DateStyle": "German, DMY", "IntervalStyle": "iso_8601", "extra_float_digits": "-3"},
    DESTINATION: {"TimeZone": "America/Lima", "DateStyle": "SQL, MDY", "IntervalStyle": "sql_standard", "bytea_output": "escape"},
}
SAME = {
    "trailing zeros of a decimal": ("numeric", "1.10", "numeric", "1.1"),
    "scales of a decimal": ("numeric(12,4)", "1.5", "numeric(12,2)", "1.5"),
    "a large round decimal": ("numeric", "100", "numeric", "1e2"),
    "minus zero": ("float8", "-0", "float8", "0"),
    "minus zero in JSON": ("json", '{"a":-0.0}', "jsonb", '{"a":0}'),
    "not a number": ("float8", "NaN", "float4", "NaN"),
    "infinity": ("float8", "-Infinity", "float8", "-inf"),
    "a decimal that is not a number": ("numeric", "NaN", "numeric(6,2)", "NaN"),
    "shortest float": ("float8", "0.1", "float8", "0.1000000000000000055"),
    "large float": ("float8", "1e16", "float8", "10000000000000000"),
    "precision of a timestamp": ("timestamptz(3)", "2026-01-02 03:04:05.120+00", "timestamptz", "2026-01-02 03:04:05.12+00"),
    "zone of a timestamp": ("timestamptz", "2026-01-01 23:30:00-05", "timestamptz", "2026-01-02 04:30:00Z"),
    "a timestamp before our era": ("timestamptz", "0044-03-15 12:00:00+00 BC", "timestamptz", "0044-03-15 12:00:00+00 BC"),
    "a timestamp beyond four digits": ("timestamptz", "12026-01-01 00:00:00+00", "timestamptz", "12026-01-01 00:00:00+00"),
    "infinite time": ("timestamptz", "infinity", "timestamptz(3)", "infinity"),
    "style of a date": ("date", "2026-02-01", "date", "2026-02-01"),
    "spelling of JSON numbers": ("json", '{"a": 1.0, "b": [1e2, 0.10]}', "jsonb", '{"b": [100, 0.1], "a": 1}'),
    "order and escapes in JSON": ("json", '{"b":"\\u00e4\\/","a":"\\ud83d\\ude00"}', "jsonb", '{"a": "😀", "b": "ä/"}'),
    "names in JSON beyond the basic plane": ("json", '{"\\ue000":1,"\\ud83d\\ude00":2}', "jsonb", '{"😀": 2, "\ue000": 1}'),
    "padding of char(n)": ("char(9)", "ab", "varchar(3)", "ab"),
    "unicode": ("text", "ßẞ😀\u200d", "varchar(9)", "ßẞ😀\u200d"),
    "style of an interval": ("interval", "1 day 02:00:00", "interval", "1 day 02:00:00"),
    "zone of a range": ("tstzrange", "[2026-01-01 00:00+00,)", "tstzrange", "[2025-12-31 19:00-05,)"),
    "array of timestamps": ("timestamptz[]", "{2026-01-01 00:00+00}", "timestamptz[]", "{2025-12-31 19:00-05}"),
    "array of texts": ("text[]", '{"a\\"\\\\",NULL,"\t\u2028ä"}', "varchar[]", '{"a\\"\\\\",NULL,"\t\u2028ä"}'),
    "array of decimals": ("int[]", "{{1,2},{3,NULL}}", "bigint[]", "{{1,2},{3,NULL}}"),
    "width of an integer": ("smallint", "7", "bigint", "7"),
    "form of bytes": ("bytea", "\\xdeadbeef00", "bytea", "\\336\\255\\276\\357\\000"),
}
OTHER = {
    "composed and decomposed": ("text", "é", "text", "e\u0301"),
    "a trailing space": ("text", "a ", "text", "a"),
    "null and empty": ("text", None, "text", ""),
    "null and its sign": ("text", None, "text", "-"),
    "SQL null and JSON null": ("jsonb", None, "jsonb", "null"),
    "the last digit of a decimal": ("numeric", "0.1000000000000000001", "numeric", "0.1"),
    "a microsecond": ("timestamptz", "2026-01-01 00:00:00.000001+00", "timestamptz", "2026-01-01 00:00:00+00"),
    "a sign of the era": ("date", "0044-03-15 BC", "date", "0044-03-15"),
    "neighbouring floats": ("float8", "0.1", "float8", "0.10000000000000002"),
    "order in an array": ("int[]", "{1,2}", "int[]", "{2,1}"),
    "no element and a null": ("text[]", "{}", "text[]", "{NULL}"),
    "a null and its word in an array": ("text[]", "{NULL}", "text[]", '{"null"}'),
}


@pytest.fixture
def two_ways(sync_databases, django_db_blocker):
    """(type, value) → digest on a side, by SQL where it can; each with the session's settings of that side."""
    made = []

    def of(alias: str, type_: str, held: str | None, *, not_null: bool) -> int:
        with connection(alias).cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS phantom")
            cursor.execute(f"CREATE TABLE phantom (k int PRIMARY KEY, v {type_} {'NOT NULL' if not_null else ''})")
            made.append(alias)
            cursor.execute(f"INSERT INTO phantom VALUES (1, %s::text::{type_})", [held])
            for name, setting in SESSIONS[alias].items():
                cursor.execute(f"SET {name} = '{setting}'")
            columns = columns_of("phantom", alias)
            table = Collection("phantom", CONTEXT, "phantom", (columns[0],), tuple(columns))
            with snapshot(alias) as reading:
                total = digest.total(reading, table, Range())
                ((_, alone),) = digest.keys(reading, table, Range())
            assert (total.count, total.digest) == (1, alone)
            return alone

    with django_db_blocker.unblock():
        yield of
        for alias in set(made):
            with connection(alias).cursor() as cursor:
                cursor.execute("DROP TABLE phantom")
            connection(alias).close()


@pytest.mark.parametrize("name", SAME)
def test_it_is_the_same(two_ways, name):
    type_here, here, type_there, there = SAME[name]
    assert two_ways(SOURCE, type_here, here, not_null=True) == two_ways(DESTINATION, type_there, there, not_null=False)


@pytest.mark.parametrize("name", OTHER)
def test_it_differs(two_ways, name):
    type_here, here, type_there, there = OTHER[name]
    assert two_ways(SOURCE, type_here, here, not_null=False) != two_ways(DESTINATION, type_there, there, not_null=False)
