"""Which tables a statement reads and writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.analysis.usage import reading
from strangler.analysis.usage.reading import NOTHING, template

P = "payments_payment"


def accesses(sql: str, vendor: str = "postgresql") -> dict[str, set[str]]:
    found = reading.read(vendor, sql)
    return {how: set(getattr(found, how)) for how in ("reads", "writes", "unclear") if getattr(found, how)}


@pytest.mark.parametrize(
    ("sql", "reads", "writes"),
    [
        ('SELECT "p"."id" FROM "payments_payment" "p" WHERE "p"."id" IN (%s, %s) FOR NO KEY UPDATE', {P}, set()),
        ("SELECT 1 FROM orders_order o JOIN Payments_Payment p ON p.order_id = o.id", {P, "orders_order"}, set()),
        (
            'INSERT INTO "payments_payment" ("a") VALUES (%s), (%s) ON CONFLICT ("a") DO UPDATE SET a = 1 RETURNING "id"',
            set(),
            {P},
        ),
        ("INSERT INTO payments_payment SELECT * FROM orders_order", {"orders_order"}, {P}),
        ('UPDATE ONLY public."payments_payment" SET x = (SELECT y FROM orders_order) WHERE id = %(id)s', {"orders_order"}, {P}),
        ("UPDATE payments_payment p SET x = u.x FROM users_user u WHERE u.id = p.user_id", {"users_user"}, {P}),
        ("DELETE FROM payments_payment USING orders_order WHERE true", {"orders_order"}, {P}),
        ("TRUNCATE payments_payment, orders_order CASCADE", set(), {P, "orders_order"}),
        ("MERGE INTO payments_payment t USING s ON t.id = s.id WHEN MATCHED THEN DELETE", {"s"}, {P}),
        ("COPY payments_payment (a, b) FROM STDIN WITH (FORMAT csv)", set(), {P}),
        ("COPY payments_payment TO STDOUT", {P}, set()),
        ("COPY (SELECT * FROM payments_payment) TO STDOUT", {P}, set()),
        ("WITH gone AS (DELETE FROM payments_payment RETURNING *) INSERT INTO log SELECT * FROM gone", {"gone"}, {P, "log"}),
        ("WITH p AS (SELECT 1 FROM payments_payment) SELECT * FROM p", {P, "p"}, set()),
        ("UPDATE a SET x = 1; DELETE FROM payments_payment", set(), {"a", P}),
        ("CREATE TABLE x AS SELECT * FROM payments_payment", {P}, set()),
        ("DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT * FROM payments_payment", {P}, set()),
        ("EXPLAIN DELETE FROM payments_payment", {P}, set()),
        ("EXPLAIN (ANALYZE, BUFFERS) DELETE FROM payments_payment", set(), {P}),
        ("EXPLAIN ANALYZE DELETE FROM payments_payment", set(), {P}),
        ("SELECT a %% 2 FROM payments_payment WHERE x LIKE 'a%%'", {P}, set()),
        ("SELECT * FROM payments_payment WHERE b @> %s::jsonb AND c ~* %s", {P}, set()),
        ("SELECT EXTRACT(day FROM x), a IS DISTINCT FROM b FROM payments_payment", {P}, set()),
        ("SELECT * FROM payments_payment -- INSERT INTO orders_order\n", {P}, set()),
        ("SELECT 'DELETE FROM orders_order' FROM payments_payment", {P}, set()),
    ],
)
def test_the_tables_that_a_statement_reads_and_writes(sql: str, reads: set[str], writes: set[str]) -> None:
    assert accesses(sql) == {how: tables for how, tables in (("reads", reads), ("writes", writes)) if tables}


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SET LOCAL x.y = %s",
        'SAVEPOINT "s1_x1"',
        'RELEASE SAVEPOINT "s1_x1"',
        "LOCK TABLE payments_payment IN EXCLUSIVE MODE",
        "ALTER TABLE payments_payment ADD COLUMN x int",
        "DROP TABLE payments_payment",
        "CREATE TABLE payments_payment (id int)",
        "CREATE INDEX i ON payments_payment (x)",
        "VACUUM payments_payment",
        "VALUES (1, 2)",
    ],
)
def test_what_changes_and_reads_no_row_is_no_use(sql: str) -> None:
    assert accesses(sql) == {}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM payments_payment WHERE ((",
        "DO $$ BEGIN DELETE FROM payments_payment; END $$",
        "PREPARE p AS INSERT INTO payments_payment VALUES (1)",
        'FROBNICATE "payments_payment"',
        "SELECT 'open FROM payments_payment",
    ],
)
def test_what_can_not_be_read_is_unclear_by_its_words(sql: str) -> None:
    assert P in accesses(sql)["unclear"]


def test_the_length_of_a_list_and_written_out_values_make_no_other_template() -> None:
    for some, other in (
        ("SELECT 1 FROM t WHERE id IN (%s, %s)", "SELECT 1 FROM t WHERE id IN (%s, %s, %s, %s)"),
        ("INSERT INTO t (a, b) VALUES (%s, %s)", "INSERT INTO t (a, b) VALUES (%s, %s), (%s, %s), (%s, %s)"),
        ("SELECT 1 FROM t WHERE id IN (1, 2) AND x = 'a'", "SELECT 1 FROM t WHERE id IN (4, 5, 6) AND x = 'it''s'"),
    ):
        assert template(some) == template(other)


def test_a_template_is_read_once() -> None:
    reading._read.cache_clear()
    for count in range(1, 50):
        reading.read("postgresql", f"SELECT 1 FROM payments_payment WHERE id IN ({', '.join(['%s'] * count)})")
    assert reading._read.cache_info().misses <= 2  # one parameter alone stands in brackets of its own


def test_a_very_long_statement_is_shortened_without_losing_its_tables() -> None:
    sql = f"INSERT INTO payments_payment (a, b) VALUES {', '.join(['(%s, DEFAULT)'] * 20_000)}"
    short = reading.shortened(sql)
    assert len(short) < 100
    assert accesses(short) == {"writes": {P}}


def test_sqlite_and_its_quotes_are_read_too() -> None:
    assert accesses('INSERT OR REPLACE INTO "payments_payment" ("a") SELECT %s', "sqlite") == {"writes": {P}}


WORDS = ("SELECT", "INSERT", "INTO", "FROM", "WITH", "AS", "(", ")", ",", "t", "'", '"', "%s", ";", "$$", "--")


@given(st.text(max_size=300) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_no_text_is_ever_raised(sql: str) -> None:
    reading.read("postgresql", sql)
    reading.shortened(sql)


def test_very_deep_nesting_is_not_raised() -> None:
    found = reading.read("postgresql", f"SELECT {'(' * 5000}1{')' * 5000} FROM payments_payment")
    assert P in found.reads | found.unclear


def test_nothing_is_read_without_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "can_read", lambda: False)
    assert reading.read("postgresql", "DELETE FROM payments_payment") == NOTHING
