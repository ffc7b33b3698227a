from __future__ import annotations

from dataclasses import replace

from strangler.domain.coupling.edges import Edge, Evidence, Kind
from strangler.domain.coupling.exercised import Exercise, compare
from strangler.domain.coupling.ledger import ContextFacts, Ledger, TableFacts

CONTEXTS = {
    "orders": ContextFacts("orders", True, tables=(TableFacts("orders.Order", "orders_order"),)),
    "users": ContextFacts("users", True, tables=(TableFacts("users.User", "users_user"), TableFacts("users.Key", "users_key"))),
}
KEY = Edge(Kind.FOREIGN_KEY, "orders", "users", "orders/models.py:Order.user", "users.User")
MODEL = Edge(Kind.GET_MODEL, "orders", "users", "orders/services.py:place", "users.User")
PATH = Edge(Kind.LOOKUP, "orders", "users", "orders/selectors.py:search", "user__email")
SQL = Edge(Kind.RAW_SQL, "orders", "users", "orders/reports.py:KEYS", "users_key")
IMPORT = Edge(Kind.IMPORT, "orders", "users", "orders/models.py:*", "users.models")
JOIN = Edge(Kind.JOIN, "orders", "users", "orders/selectors.py:search", "orders_order + users_user")
READ = Edge(Kind.FOREIGN_READ, "orders", "users", "orders/api.py:get", "users_key")


def compared(*edges: Edge) -> Exercise:
    return compare(Ledger(contexts=CONTEXTS, edges=edges))


def test_a_join_exercises_the_key_and_the_path_it_went_by() -> None:
    found = compared(KEY, PATH, JOIN)
    assert found.exercised == {KEY: (JOIN,), PATH: (JOIN,)}
    assert (found.idle, found.unseen) == ((), ())


def test_a_path_of_another_file_is_idle() -> None:
    other = Edge(Kind.LOOKUP, "orders", "users", "orders/admin.py:OrderAdmin.search_fields", "user__email")
    assert compared(other, JOIN).idle == (other,)


def test_a_statement_that_was_made_elsewhere_counts_by_its_evidence() -> None:
    read = Edge(
        Kind.FOREIGN_READ, "orders", "users", "request GET /x/", "users_user", evidence=(Evidence("orders/selectors.py"),)
    )
    assert compared(PATH, read).exercised == {PATH: (read,)}


def test_a_model_and_a_table_are_exercised_by_what_touches_them() -> None:
    found = compared(MODEL, SQL, READ)
    assert found.exercised == {SQL: (READ,)}
    assert found.idle == (MODEL,)


def test_a_key_is_not_exercised_by_a_join_of_other_tables() -> None:
    other = Edge(Kind.JOIN, "orders", "users", "orders/api.py:get", "orders_order + users_key")
    found = compared(KEY, other)
    assert (found.idle, found.unseen) == ((KEY,), (other,))


def test_a_cascade_exercises_the_key_that_it_follows_though_it_runs_the_other_way() -> None:
    cascade = Edge(Kind.CASCADE, "users", "orders", "users/services.py:forget", "orders_order")
    assert compared(KEY, cascade).exercised == {KEY: (cascade,)}


def test_what_runs_and_is_declared_nowhere_is_unseen() -> None:
    assert compared(IMPORT, READ).unseen == (READ,)


def test_an_import_can_be_told_neither_idle_nor_exercised() -> None:
    found = compared(IMPORT, JOIN)
    assert (found.silent, found.idle, found.exercised) == ((IMPORT,), (), {})


def test_code_of_the_other_side_does_not_exercise_what_this_side_declares() -> None:
    other_way = Edge(Kind.FOREIGN_READ, "users", "orders", "orders/services.py:place", "users_user")
    assert compared(MODEL, other_way).idle == (MODEL,)


def test_a_generic_key_is_exercised_by_what_touches_its_models() -> None:
    about = Edge(Kind.GENERIC_FOREIGN_KEY, "orders", "users", "orders/models.py:Order.about", "orders.Order.about")
    known = replace(about, models=("users.Key",))
    join = Edge(Kind.JOIN, "orders", "users", "orders/api.py:get", "orders_order + users_key")
    assert compared(about, join).idle == (about,)
    assert compared(known, join).exercised == {known: (join,)}
