"""What registry and catalogue say of the shop, held against its list of couplings both ways; and of what PostgreSQL can have."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from strangler.analysis import live, survey
from strangler.analysis.live import generic
from strangler.analysis.live.session import opened
from strangler.analysis.survey.facts import facts
from strangler.analysis.wiring import wired
from strangler.domain.coupling.edges import Edge, Kind

pytestmark = pytest.mark.django_db
LISTED = tomllib.loads((settings.BASE_DIR / "monolith" / "couplings.toml").read_text(encoding="utf-8"))["coupling"]
NOTE = """
    INSERT INTO shell_note (content_type_id, object_id, text, created_at)
    SELECT id, '1', '', now() FROM django_content_type
    WHERE (app_label, model) IN (('orders', 'order'), ('products', 'product'), ('products', 'price'))
"""
GHOST = "INSERT INTO django_content_type (id, app_label, model) VALUES (2000000, 'gone', 'thing')"
MADE = [
    NOTE,
    GHOST,
    "INSERT INTO shell_note (content_type_id, object_id, text, created_at) VALUES (2000000, '1', '', now())",
    "ALTER TABLE shell_activity ADD COLUMN live_order bigint CONSTRAINT live_key REFERENCES orders_order (id)",
    """CREATE FUNCTION live_known(number bigint) RETURNS boolean LANGUAGE sql AS
       'SELECT EXISTS (SELECT 1 FROM customers_customer c WHERE c.id = number) OR number IS NULL'""",
    "ALTER TABLE shell_activity ADD CONSTRAINT live_check CHECK (live_known(live_order))",
    "CREATE VIEW live_inner AS SELECT c.id, u.email FROM customers_customer c JOIN users_user u ON u.id = c.user_id",
    "CREATE MATERIALIZED VIEW live_outer AS SELECT i.id FROM live_inner i WHERE i.id IN (SELECT customer_id FROM orders_order)",
    """CREATE FUNCTION live_paid() RETURNS trigger LANGUAGE plpgsql AS $$
       DECLARE found_one bigint; customers_address text := 'a variable';
       BEGIN
         -- products_product is only mentioned here, and users_user in a text for people
         IF NEW.amount > 0 THEN
           UPDATE orders_order SET paid_at = now() WHERE id = NEW.order_id;
         END IF;
         SELECT id INTO found_one FROM customers_customer WHERE id = 1;
         IF NOT FOUND THEN RAISE EXCEPTION 'no users_user for %', NEW.id; END IF;
         EXECUTE format('DELETE FROM products_reservation WHERE id = %s', NEW.id);
         RETURN NEW;
       END $$""",
    "CREATE TRIGGER live_paid AFTER UPDATE ON payments_payment FOR EACH ROW EXECUTE FUNCTION live_paid()",
    """CREATE TABLE live_part (id bigint, at date) PARTITION BY RANGE (at)""",
]
UNMADE = [
    "DROP TRIGGER live_paid ON payments_payment",
    "DROP FUNCTION live_paid()",
    "DROP MATERIALIZED VIEW live_outer",
    "DROP VIEW live_inner",
    "ALTER TABLE shell_activity DROP CONSTRAINT live_check, DROP COLUMN live_order",
    "DROP FUNCTION live_known(bigint)",
    "DROP TABLE live_part",
    "DELETE FROM shell_note WHERE text = ''",
    "DELETE FROM django_content_type WHERE id = 2000000",
]


def run(statements: list[str]) -> None:
    """Committed, by a connection of its own: the analysis has its own too."""
    own: Any = connection.copy()
    try:
        with own.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        own.close()


@pytest.fixture(scope="module")
def plain(django_db_setup: None, django_db_blocker: Any) -> live.Live:
    with django_db_blocker.unblock():
        return live.look(survey.project())


@pytest.fixture(scope="module")
def rich(plain: live.Live, django_db_setup: None, django_db_blocker: Any) -> Iterator[live.Live]:
    with django_db_blocker.unblock():
        run(MADE)
        try:
            yield live.look(survey.project())
        finally:
            run(UNMADE)


def seen(edges: tuple[Edge, ...], kind: Kind) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.where, edge.target) for edge in edges if edge.kind is kind}


def listed(kind: Kind) -> set[tuple[str, str, str]]:
    return {(one["from"], one["where"], to) for one in LISTED if one["kind"] == kind for to in one["to"] if to != one["from"]}


def more(rich: live.Live, kind: Kind) -> set[tuple[str, str, str, str, str]]:
    return {(edge.source, edge.target, edge.where, edge.what, edge.note) for edge in rich.found.edges if edge.kind is kind}


@pytest.mark.parametrize("kind", [Kind.FOREIGN_KEY, Kind.ONE_TO_ONE, Kind.MANY_TO_MANY, Kind.DATABASE_VIEW, Kind.TRIGGER])
def test_the_shops_list_is_found_whole_and_nothing_else(plain: live.Live, kind: Kind) -> None:
    assert seen(plain.found.edges, kind) == listed(kind)


def test_each_edge_of_the_source_shows_its_line(plain: live.Live) -> None:
    for edge in plain.found.edges:
        name = edge.where.rpartition(":")[2].rpartition(".")[2]
        assert name in edge.evidence[0].text, edge


def test_the_shop_has_none_of_the_kinds_that_it_does_not_list(plain: live.Live) -> None:
    """But its accessors, and the one relation that goes through a setting."""
    kinds = {edge.kind for edge in plain.found.edges}
    assert not kinds & {Kind.INHERITANCE, Kind.PROXY, Kind.MANAGER, Kind.CONSTRAINT, Kind.GENERIC_FOREIGN_KEY}
    assert {(edge.where, edge.what) for edge in plain.found.edges if edge.kind is Kind.SWAPPED} == {
        ("monolith/shell/models.py:Note.author", "AUTH_USER_MODEL")
    }


def test_a_generic_key_points_where_its_rows_do_and_no_row_is_said(plain: live.Live, rich: live.Live) -> None:
    where = "monolith/shell/models.py:Note.about"
    assert [one.where for one in plain.found.skipped if one.what == "generic_foreign_key"] == [where]
    assert plain.found.looked_at["generic_foreign_keys_unresolved"] == 1
    assert more(rich, Kind.GENERIC_FOREIGN_KEY) == {
        ("shell", "orders", where, "shell.Note.about", "orders.Order in rows"),
        ("shell", "products", where, "shell.Note.about", "products.Price in rows, products.Product in rows"),
    }
    assert {edge.models for edge in rich.found.edges if edge.kind is Kind.GENERIC_FOREIGN_KEY} == {
        ("orders.Order",),
        ("products.Price", "products.Product"),
    }
    (gone,) = (one.why for one in rich.found.skipped if one.what == "generic_foreign_key")
    assert "2000000" in gone


def test_a_table_that_is_too_large_to_be_asked_is_answered_by_the_planners_statistics(
    rich: live.Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    run([NOTE, "ANALYZE shell_note"])
    monkeypatch.setattr(generic, "DISTINCT", "SELECT 1 FROM pg_sleep(60)")
    monkeypatch.setattr(generic, "SCAN_S", 0.05)
    found = live.read(survey.project())
    assert {edge.target for edge in found.edges if edge.kind is Kind.GENERIC_FOREIGN_KEY} == {"orders", "products"}
    (why,) = (one.why for one in found.skipped if one.what == "generic_foreign_key" and "2000000" not in one.why)
    assert "by the statistics of the planner" in why
    monkeypatch.setattr(generic, "COMMON", "SELECT 1 WHERE false AND %s = %s")
    (why,) = (one.why for one in live.read(survey.project()).skipped if one.what == "generic_foreign_key")
    assert why.startswith("its rows could not be asked what it points to: canceling statement due to statement timeout")


def test_a_key_and_a_check_that_no_model_declares_are_found(rich: live.Live) -> None:
    assert more(rich, Kind.CONSTRAINT) == {
        ("shell", "orders", "database:live_key", "orders_order", "foreign key"),
        ("shell", "customers", "database:live_check", "customers_customer", "check"),
    }


def test_views_are_followed_through_views_to_the_tables(rich: live.Live) -> None:
    found = {one for one in more(rich, Kind.DATABASE_VIEW) if one[0] == "project"}
    assert found == {
        ("project", "customers", "database:live_inner", "customers_customer", ""),
        ("project", "users", "database:live_inner", "users_user", ""),
        ("project", "customers", "database:live_outer", "customers_customer", "materialized"),
        ("project", "users", "database:live_outer", "users_user", "materialized"),
        ("project", "orders", "database:live_outer", "orders_order", "materialized"),
    }


def test_a_triggers_body_is_read_without_comments_texts_and_variables(rich: live.Live) -> None:
    assert more(rich, Kind.TRIGGER) == {
        ("payments", "orders", "database:live_paid", "orders_order", "writes"),
        ("payments", "customers", "database:live_paid", "customers_customer", "reads"),
        ("payments", "products", "database:live_paid", "products_reservation", "by its words"),
    }


def test_contexts_know_their_tables_endpoints_and_lines(plain: live.Live, django_db_blocker: Any) -> None:
    of = facts(wired(survey.project()), plain.sizes)
    payments = of["payments"]
    assert "POST /api/payments/<int:payment_id>/capture/" in payments.endpoints
    assert payments.views["POST /api/payments/<int:payment_id>/capture/"] == "monolith/payments/api.py:CaptureView"
    assert all(one.size for one in payments.tables)
    assert payments.lines > 500


def test_what_it_asks_is_read_only_and_no_question_takes_another_along(plain: live.Live, django_db_blocker: Any) -> None:
    from django.db import DatabaseError

    with django_db_blocker.unblock(), opened("default") as asked:
        with pytest.raises(DatabaseError, match="read-only"):
            asked.ask("DELETE FROM shell_note")
        with pytest.raises(DatabaseError, match="timeout"):
            asked.ask("SELECT pg_sleep(20)", seconds=0.05)
        assert asked.ask("SHOW transaction_isolation") == [("repeatable read",)]


def test_a_database_that_does_not_answer_costs_its_part_alone(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "PORT", "9")
    found = live.read(survey.project())
    (why,) = (one.why for one in found.skipped if one.what == "database")
    assert why.startswith("the database does not answer: ")
    assert seen(found.edges, Kind.FOREIGN_KEY) == listed(Kind.FOREIGN_KEY)
    assert "the database was not asked" in next(one.why for one in found.skipped if one.what == "generic_foreign_key")


def test_without_the_database_it_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "opened", None)
    assert seen(live.read(survey.project(), database=False).edges, Kind.FOREIGN_KEY) == listed(Kind.FOREIGN_KEY)


def test_two_readings_are_the_same(rich: live.Live) -> None:
    assert live.read(survey.project()) == live.read(survey.project())
