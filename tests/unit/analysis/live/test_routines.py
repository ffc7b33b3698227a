"""The tables in a function's body."""

from __future__ import annotations

import pytest

from strangler.analysis.live.routines import tables_in

KNOWN = ("orders_order", "stock", "payments_payment")


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("BEGIN UPDATE orders_order SET a = 1; END", [("orders_order", "writes")]),
        (
            'BEGIN INSERT INTO "orders_order" (id) SELECT id FROM public.stock; END',
            [("orders_order", "writes"), ("stock", "reads")],
        ),
        (
            "BEGIN DELETE FROM orders_order o USING stock s WHERE s.id = o.id; END",
            [("orders_order", "writes"), ("stock", "reads")],
        ),
        ("BEGIN SELECT count(*) INTO n FROM orders_order; END", [("orders_order", "reads")]),
        ("BEGIN PERFORM 1 FROM orders_order WHERE id = 1; END", [("orders_order", "reads")]),
        ("BEGIN FOR r IN SELECT * FROM orders_order LOOP NULL; END LOOP; END", [("orders_order", "by its words")]),
        ("BEGIN EXECUTE 'UPDATE orders_order SET a = ' || b; END", [("orders_order", "by its words")]),
        (
            "BEGIN IF EXISTS (SELECT 1 FROM stock) THEN UPDATE orders_order SET a = 1; END IF; END",
            [("orders_order", "by its words"), ("stock", "by its words")],
        ),
        ("BEGIN WITH stock AS (SELECT 1) SELECT * INTO a FROM stock; END", []),
        ("BEGIN NEW.stock := 1; RAISE NOTICE 'orders_order'; END", []),
        ("-- UPDATE orders_order\nBEGIN /* DELETE FROM stock */ RETURN NEW; END", []),
        ("DECLARE orders_order bigint := 1; BEGIN RETURN orders_order; END", []),
        ("BEGIN PERFORM orders_order(1); RETURN stock; END", []),
        ("", []),
    ],
)
def test_statements_are_read_and_words_count_where_they_name_a_table(body: str, wanted: list[tuple[str, str]]) -> None:
    assert [tuple(one) for one in tables_in(body, "plpgsql", KNOWN)] == wanted


def test_what_is_no_sql_is_read_by_its_words() -> None:
    assert tables_in("plpy.execute('UPDATE orders_order SET a = 1')", "plpython3u", KNOWN) == [("orders_order", "by its words")]
