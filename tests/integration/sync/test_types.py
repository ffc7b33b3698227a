"""Any type of column, and of key: what PostgreSQL has besides the fields of Django arrives as it was, or is refused by name."""

from __future__ import annotations

import pytest

from strangler.errors import Misconfigured
from strangler.sync import collections, drift
from strangler.sync.database import rows
from tests.integration.sync import extra
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, closing, connect

pytestmark = pytest.mark.only("postgresql", "types of its own")

MADE = """
CREATE TYPE extra_mood AS ENUM ('sad', 'it''s "ok"', 'a,b');
CREATE DOMAIN extra_positive AS int CHECK (value > 0);
CREATE DOMAIN extra_small AS extra_positive CHECK (value < 1000);
CREATE DOMAIN extra_list AS int[];
CREATE TYPE extra_pair AS (a int, b text, c timestamptz);
"""
DROPPED = (
    "DROP TYPE IF EXISTS extra_mood, extra_pair CASCADE; DROP DOMAIN IF EXISTS extra_list, extra_small, extra_positive CASCADE"
)
# Type → values. Every pair is a row; all other columns of the row are NULL.
VALUES = {
    "extra_mood": ["'it''s \"ok\"'", "'a,b'"],
    "extra_mood[]": ["ARRAY['a,b', NULL, 'sad']::extra_mood[]"],
    "extra_small": ["5"],
    "extra_list": ["'{1,NULL}'"],
    "extra_pair": ["ROW(1, 'x\"y(,', now())::extra_pair", "ROW(NULL, NULL, NULL)::extra_pair"],
    "extra_pair[]": ["ARRAY[ROW(1, 'a,b', now())::extra_pair, NULL]"],
    "int[][]": ["'{{1,NULL},{3,4}}'", "'[2:3]={1,2}'", "'[0:1][2:3]={{1,2},{3,4}}'", "'{}'", "'{NULL}'"],
    "text[]": ["ARRAY['NULL', '\"', '\\', E'\\n', '{', 'ä', '']"],
    "timestamptz[]": ["ARRAY[now(), NULL, 'infinity', '0044-03-15 12:00 BC']::timestamptz[]"],
    "date[]": ["ARRAY['infinity', '0044-03-15 BC', '2026-01-01']::date[]"],
    "bytea[]": ["ARRAY['\\x00ff', NULL, '']::bytea[]"],
    "jsonb[]": [
        "ARRAY['[1,2]', '[3]', NULL]::jsonb[]",
        "ARRAY['[1,2]', '[3,4]']::jsonb[]",
        "ARRAY['null', '\"s\"', '1.10']::jsonb[]",
    ],
    "json[]": ["ARRAY['[1,2]', '{\"a\" : 1}']::json[]"],
    "numeric[]": ["'{1.10,NULL,NaN,Infinity}'"],
    "float8[]": ["'{NaN,-Infinity,0.1,1e300,5e-324}'"],
    "interval[]": ["'{1 year 2 mons,-00:00:01}'"],
    "daterange[]": ["ARRAY['[2026-01-01,2026-02-01)', 'empty']::daterange[]"],
    "int4multirange": ["'{[1,3),[7,9)}'", "'{}'"],
    "tstzmultirange": ["'{[2026-01-01 00:00+02,2026-01-02)}'"],
    "numrange": ["'[1.0,2.50]'", "'(,)'"],
    "interval": ["'-1 year +2 mons -3 days 04:05:06.789'", "'infinity'"],
    "money": ["-1234.56", "'92233720368547758.07'"],
    "bit(5)": ["B'10101'"],
    "bit varying": ["B''", "B'101'"],
    "tsvector": ["'a:1A b:2,3'", "to_tsvector('english', 'the quick brown fox''s')"],
    "tsquery": ["'a & !b <-> c'"],
    "char(5)": ["'ab'", "''"],
    '"char"': ["'x'"],
    "numeric": ["1.00", "'Infinity'", "1e-300", "123456789012345678901234567890.123456789"],
    "real": ["0.1", "1e-45", "16777217", "3.4e38"],
    "float8": ["-0.0", "1e22", "123456789012345680"],
    "time": ["'24:00:00'"],
    "timetz": ["'23:59:59.999999-08'"],
    "timestamptz(0)": ["now()"],
    "timestamp": ["'infinity'", "'0001-01-01 00:00 BC'"],
    "date": ["'infinity'", "'5874897-12-31'", "'4713-01-01 BC'"],
    "inet": ["'10.0.0.1/8'"],
    "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
    "polygon": ["'((0,0),(1,1.5),(2,-0.1))'"],
    "pg_lsn": ["'16/B374D848'"],
    "jsonpath": ["'$.a[*] ? (@ > 1)'"],
    "int2vector": ["'1 2'"],
    "json": ["'null'", '\'{"b":1,"a":2.50}\''],
    "jsonb": ["'\"\\u0001\"'", '\'{"a": "\\ud83d\\ude00"}\''],
    "text": ["E'\\u0001\\u2028\\uffff\\U0010ffff'", "repeat('ä', 5000000)"],
    "bytea": ["decode(repeat('00ff', 100000), 'hex')"],
}
KEYS = {
    "text": ["''", "'/'", "'a/b%'", "E'\\n'", "'%s'", "'\"'", "'ä\U0001f600'"],
    "numeric": ["1.0", "2.00", "-0.0", "1e20"],
    "numeric(10,2)": ["1.25"],
    "char(5)": ["'ab'", "''"],
    "varchar(3)": ["'abc'"],
    "timestamptz": ["now()", "'infinity'", "'0044-03-15 12:00 BC'"],
    "bytea": ["'\\x00'", "''"],
    "date": ["'2026-01-01'", "'infinity'"],
    "tstzrange": ["'[2026-01-01,2026-02-01)'", "'empty'", "'(,)'", "'[infinity,]'"],
    "daterange": ["'[2026-01-01,2026-02-01)'", "'[0044-03-15 BC,]'"],
    "extra_mood": ["'a,b'"],
    "extra_small": ["4"],
    "uuid": ["gen_random_uuid()"],
    "inet": ["'10.0.0.1/8'"],
    "time": ["'24:00'"],
    "bit(3)": ["B'101'"],
}
ABROAD = {"timezone": "'Asia/Tokyo'", "datestyle": "'SQL, DMY'", "bytea_output": "'escape'", "intervalstyle": "'sql_standard'"}


@pytest.fixture
def types(estate):
    for alias in (SOURCE, DESTINATION):
        rows(f"{DROPPED}; {MADE}", using=alias)
    yield estate
    for alias in (SOURCE, DESTINATION):
        rows(DROPPED, using=alias)


def test_every_type_of_postgresql_arrives_as_it_was(types, monkeypatch):
    columns = {f"c{number}": (type_, values) for number, (type_, values) in enumerate(VALUES.items())}
    definition = ", ".join(f"{name} {type_}" for name, (type_, _) in columns.items())
    with extra.table(f"id int PRIMARY KEY, {definition}"):
        for name, (_, values) in columns.items():
            for value in values:
                rows(
                    f"INSERT INTO bank_extra (id, {name}) SELECT coalesce(max(id), 0) + 1, {value} FROM bank_extra", using=SOURCE
                )
        for setting, value in ABROAD.items():  # Django's own session may have settings, too
            rows(f"SET {setting} = {value}", using=SOURCE)
        try:
            types.drain()
            assert drift.check(CONTEXT, [extra.NAME], using=SOURCE, client=types.service).differing == []
        finally:
            rows("; ".join(f"RESET {setting}" for setting in ABROAD), using=SOURCE)
            rows("SET timezone = 'UTC'", using=SOURCE)
        assert rows("SELECT key, error FROM strangler_quarantine", using=SOURCE) == []
        for name, (type_, _) in columns.items():
            read = f"SELECT id, {name}::text FROM bank_extra WHERE {name} IS NOT NULL ORDER BY id"
            assert rows(read, using=DESTINATION) == rows(read, using=SOURCE), type_


@pytest.mark.parametrize("type_", KEYS)
def test_any_type_of_key_names_the_same_row_in_every_session(types, type_):
    with extra.table(f"k {type_} PRIMARY KEY, v int", ("k",)):
        with closing(program := connect(SOURCE, **ABROAD)):
            for value in KEYS[type_]:
                program.execute(f"INSERT INTO bank_extra VALUES ({value}, 1)".encode())
            noted = types.pointers()
            types.drain()
            read = "SELECT k::text, v FROM bank_extra ORDER BY k"
            assert rows(read, using=DESTINATION) == rows(read, using=SOURCE) != []
            assert sorted(types.table(extra.NAME, SOURCE)) == sorted(key for _, key in noted), "the key as it is noted, and read"
            assert drift.check(CONTEXT, [extra.NAME], using=SOURCE, client=types.service).differing == []
            program.execute("DELETE FROM bank_extra")
        types.drain()
        assert rows(read, using=DESTINATION) == []


def test_a_key_that_is_written_in_another_way_is_still_the_same_key(estate):
    with extra.table("k numeric PRIMARY KEY, v int", ("k",)):
        rows("INSERT INTO bank_extra VALUES (1.0, 1)", using=SOURCE)
        estate.drain()
        rows("UPDATE bank_extra SET k = 1.00, v = 2", using=SOURCE)
        assert estate.pointers() == [(extra.NAME, "1")], "under two keys the row could be deleted after it was written"
        estate.drain()
        estate.assert_equal(extra.NAME)


def test_a_longer_key_on_one_side_deletes_no_other_row(estate):
    with extra.table("k varchar(10) PRIMARY KEY", ("k",), there="k varchar(3) PRIMARY KEY"):
        rows("INSERT INTO bank_extra VALUES ('123')", using=SOURCE)
        estate.drain()
        rows("INSERT INTO bank_extra VALUES ('12345'); DELETE FROM bank_extra WHERE k = '12345'", using=SOURCE)
        estate.drain()
        assert list(estate.table(extra.NAME, DESTINATION)) == ["123"], "a cast to varchar(3) would have cut the key"


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ("k jsonb PRIMARY KEY", r"k \(jsonb\) may write one value in several ways"),
        ("k numrange PRIMARY KEY", r"k \(numrange\) may write one value in several ways"),
        ("k int[] PRIMARY KEY", r"k \(integer\[\]\) may write one value in several ways"),
        ("a int NOT NULL, k int GENERATED ALWAYS AS (a + 1) STORED PRIMARY KEY", r"k \(integer\) is generated"),
    ],
)
def test_a_key_that_can_not_name_a_row_is_refused(estate, definition, said):
    rows(f"CREATE TABLE bank_extra ({definition})", using=SOURCE)
    try:
        with (
            extra.model(("k",)),
            pytest.raises(Misconfigured, match=f"bank_extra of bank.Extra can't be mirrored by its key: {said}"),
        ):
            collections.for_context(CONTEXT, SOURCE)
        rows("ALTER TABLE bank_extra ADD COLUMN code text NOT NULL UNIQUE", using=SOURCE)
        with extra.model(("k",)):
            found = collections.for_stream(CONTEXT, SOURCE)[extra.NAME]
            assert [column.name for column in found.key] == ["code"], "the way out"
    finally:
        rows("DROP TABLE bank_extra", using=SOURCE)


def test_identity_and_generated_columns_follow(estate):
    definition = (
        "id int PRIMARY KEY, serial int GENERATED ALWAYS AS IDENTITY, a int, "
        "stored int GENERATED ALWAYS AS (a * 2) STORED, virtual int GENERATED ALWAYS AS (a * 3) VIRTUAL"
    )
    with extra.table(definition):
        rows("INSERT INTO bank_extra (id, a) VALUES (1, 1), (2, 2)", using=SOURCE)
        estate.drain()
        rows("UPDATE bank_extra SET a = 5, serial = DEFAULT WHERE id = 1", using=SOURCE)
        estate.drain()
        read = "SELECT id, serial, a, stored, virtual FROM bank_extra ORDER BY id"
        assert rows(read, using=DESTINATION) == rows(read, using=SOURCE) == [(1, 3, 5, 10, 15), (2, 2, 2, 4, 6)]


def test_three_hundred_columns(estate):
    with extra.table("id int PRIMARY KEY, " + ", ".join(f"c{number} text" for number in range(300))):
        rows("INSERT INTO bank_extra (id, c0, c299) VALUES (1, 'first', 'last')", using=SOURCE)
        estate.drain()
        estate.assert_equal(extra.NAME)
        assert drift.check(CONTEXT, [extra.NAME], using=SOURCE, client=estate.service).differing == []
