"""Every crossing has a remedy that quotes its code, says what to write, and what of it the product does by itself."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strangler.domain.coupling.edges import Edge, Evidence, Kind
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.reach import Reach
from strangler.domain.coupling.remedies import Remedy, advice, advices, declaration
from strangler.domain.estate_file import parse
from tests.unit.domain.coupling.ledgers import crossing, ledger, ledgers
from tests.unit.domain.coupling.shop import shop

ESTATE = Path(__file__).parents[4] / "strangler.toml"
LINE = (Evidence("shop/a/api.py", 12, "  found =  B.objects.filter(b__name=name)"),)


def edge(kind: Kind, what: str = "b.One", note: str = "", where: str = "shop/a/api.py:f", text: str = "") -> Edge:
    """Code of ``a`` that knows ``b``."""
    return Edge(kind, "a", "b", where, what, note, (Evidence("shop/a/api.py", 12, text),) if text else ())


OUT_AND_IN = [
    (edge(Kind.TRANSACTION, "a_one, b_one"), Remedy.EVENT, Remedy.SEAM),
    (edge(Kind.FOREIGN_WRITE, "b_one"), Remedy.SEAM, Remedy.SEAM),
    (edge(Kind.RAW_SQL, "b_one", "writes"), Remedy.SEAM, Remedy.SEAM),
    (edge(Kind.RAW_SQL, "b_one", "reads"), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.CASCADE, "b_one"), Remedy.EVENT, Remedy.EVENT),
    (edge(Kind.TRIGGER, "b_one", where="database:t"), Remedy.EVENT, Remedy.EVENT),
    (edge(Kind.LOOKUP, "b__name"), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.LOOKUP, "b__name", text='found.order_by("b__name")'), Remedy.DENORMALISE, Remedy.DENORMALISE),
    (edge(Kind.LOOKUP, "b__name", where="shop/a/admin.py:X.ordering"), Remedy.DENORMALISE, Remedy.DENORMALISE),
    (edge(Kind.SELECT_RELATED, "b"), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.PREFETCH_RELATED, "b"), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.TEMPLATE_RELATION, "one.b.name", where="shop/a/x.html"), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.JOIN, "a_one + b_one"), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.FOREIGN_READ, "b_one"), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.DATABASE_VIEW, "b_one", where="shop/a/models.py:Two"), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.ADMIN_INLINE), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.REVERSE_ACCESSOR, "a.One.bs"), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.REVERSE_ACCESSOR, "a.One.bs", text="one.bs.create(x=1)"), Remedy.SEAM, Remedy.SEAM),
    (edge(Kind.REVERSE_ACCESSOR, "a.One.bs", "declared"), Remedy.DELETE, Remedy.DELETE),
    (edge(Kind.FOREIGN_KEY), Remedy.ID_AND_API, Remedy.ID_AND_API),
    (edge(Kind.ONE_TO_ONE), Remedy.ID_AND_API, Remedy.ID_AND_API),
    (edge(Kind.MANY_TO_MANY), Remedy.ID_AND_API, Remedy.ID_AND_API),
    (edge(Kind.GENERIC_FOREIGN_KEY), Remedy.ID_AND_API, Remedy.ID_AND_API),
    (edge(Kind.CONSTRAINT, "b_one", where="database:k"), Remedy.DELETE, Remedy.DELETE),
    (edge(Kind.SWAPPED, "AUTH_USER_MODEL"), Remedy.KEEP, Remedy.KEEP),
    (edge(Kind.INHERITANCE, where="shop/a/models.py:Two"), Remedy.MOVE, Remedy.MOVE),
    (edge(Kind.INHERITANCE, "shop.b.base.Dated", where="shop/a/models.py:Two"), Remedy.MOVE, Remedy.MOVE),
    (edge(Kind.PROXY, where="shop/a/models.py:Two"), Remedy.MOVE, Remedy.MOVE),
    (edge(Kind.MANAGER, "shop.b.managers.Live"), Remedy.DELETE, Remedy.DELETE),
    (edge(Kind.MANAGER), Remedy.READ_COPY, Remedy.READ_COPY),
    (edge(Kind.IMPORT, "shop.b.models", where="shop/a/api.py:*"), Remedy.SEAM, Remedy.SEAM),
    (edge(Kind.LATE_IMPORT, "shop.b.models"), Remedy.SEAM, Remedy.SEAM),
    (edge(Kind.GET_MODEL), Remedy.SEAM, Remedy.SEAM),
    (edge(Kind.SETTING, "PANELS"), Remedy.SEAM, Remedy.SEAM),
    (edge(Kind.COMMAND, "tidy"), Remedy.SEAM, Remedy.SEAM),
    (edge(Kind.ADMIN), Remedy.DELETE, Remedy.DELETE),
    (edge(Kind.SIGNAL, "post_save b.One"), Remedy.EVENT, Remedy.EVENT),
    (edge(Kind.SIGNAL, "shop.b.signals.paid", "sends"), Remedy.SEAM, Remedy.SEAM),
    (edge(Kind.TASK, "b.tidy"), Remedy.EVENT, Remedy.EVENT),
    (edge(Kind.ON_COMMIT, "shop.b.mail.send"), Remedy.SEAM, Remedy.SEAM),
    (edge(Kind.TEMPLATE, "b/row.html"), Remedy.DELETE, Remedy.DELETE),
    (edge(Kind.URL_NAME, "b:list"), Remedy.KEEP, Remedy.KEEP),
    (edge(Kind.URL_INCLUDE, "shop.b.urls"), Remedy.DELETE, Remedy.DELETE),
    (edge(Kind.SEAM, "shop.b.contract"), Remedy.KEEP, Remedy.KEEP),
    (edge(Kind.TYPING_IMPORT, "shop.b.models"), Remedy.KEEP, Remedy.KEEP),
    (edge(Kind.MIGRATION, "b.0001_initial"), Remedy.KEEP, Remedy.KEEP),
]


@pytest.mark.parametrize(("known", "out", "into"), OUT_AND_IN, ids=lambda each: getattr(each, "kind", None))
def test_each_kind_has_its_remedy_on_either_side(known: Edge, out: Remedy, into: Remedy) -> None:
    reach = Reach(ledger(known))
    assert advice(known, "a", reach).remedy is out
    assert advice(known, "b", reach).remedy is into
    assert advice(known, "", reach) == advice(known, "b", reach)


def test_no_kind_is_without_a_case_above() -> None:
    assert {each[0].kind for each in OUT_AND_IN} == set(Kind)


def test_the_code_is_quoted_on_one_line_with_its_place() -> None:
    told = advice(replace(edge(Kind.LOOKUP, "b__name"), evidence=LINE))
    assert told.text.startswith("`found = B.objects.filter(b__name=name)` (shop/a/api.py:12): a joins ")
    assert advice(edge(Kind.LOOKUP, "b__name")).quoted == "`b__name` at shop/a/api.py:f:"
    long = advice(edge(Kind.RAW_SQL, "b_one", text="SELECT " + "x, " * 100)).quoted
    assert len(long) < 160
    assert "…`" in long


def test_what_the_leaving_code_reads_becomes_a_read_copy_by_its_label() -> None:
    key = edge(Kind.FOREIGN_KEY, where="shop/a/models.py:One.owner")
    lookup = edge(Kind.LOOKUP, "owner__name")
    reach = Reach(ledger(key, lookup))
    assert advice(lookup, "a", reach).toml == ("[contexts.a]", 'read_copies = ["b.One"]')
    staying = advice(lookup, "b", reach)
    assert staying.toml == ()
    assert "strangler retire b --keep-copy" in staying.instead


def test_a_key_says_what_becomes_of_its_on_delete() -> None:
    cascade = advice(edge(Kind.FOREIGN_KEY, note="on_delete=CASCADE", where="shop/a/models.py:One.owner")).instead
    assert "drops the constraint" in cascade
    assert "CASCADE runs where a is owned, when the delete of the one reaches it" in cascade
    assert "`owner_id = models.BigIntegerField(db_index=True)`" in cascade
    assert "PROTECT goes on refusing" in advice(edge(Kind.FOREIGN_KEY, note="on_delete=PROTECT")).instead
    assert "no constraint to drop" in advice(edge(Kind.FOREIGN_KEY, note="on_delete=CASCADE, db_constraint=False")).instead


@pytest.mark.parametrize(
    ("signal", "leaving", "place"),
    [
        ("post_save b.One", "b", "monolith"),  # its sender leaves, it stays
        ("post_save b.One", "a", "service"),  # it leaves, its sender stays
        ("pre_save b.One", "b", "drop"),  # no row stands for it
        ("shop.b.contract.paid", "b", "drop"),
    ],
)
def test_a_receiver_gets_its_place_as_the_estate_file_has_it(signal: str, leaving: str, place: str) -> None:
    heard = advice(edge(Kind.SIGNAL, signal, where="shop/a/receivers.py:on_b"), leaving)
    assert f'"shop.a.receivers.on_b" = "{place}"' in heard.toml


def test_a_log_in_needs_no_place_for_the_product_does_not_hold_it() -> None:
    assert advice(edge(Kind.SIGNAL, "user_logged_in"), "b").toml == ()


def test_requests_of_others_that_write_what_leaves_are_held_up_to_what_varies() -> None:
    by = (
        "request POST /api/orders/<int:pk>/pay/",
        "request GET /look/",
        "request POST /checkout/",
        "task x.y",
        "request POST /<slug>/",
    )
    known = replace(edge(Kind.TRANSACTION, "a_one, b_one"), evidence=(Evidence(by=by),))
    assert advice(known, "b").toml == ("[contexts.b]", 'also_written_by = ["/api/orders", "/checkout"]')
    assert advice(known, "a").toml == ()


def test_the_shops_declaration_is_what_its_file_says() -> None:
    """The lines that a person wrote for payments, found again from the list of couplings."""
    mine = tomllib.loads(ESTATE.read_text(encoding="utf-8"))["contexts"]["payments"]
    found = tomllib.loads("\n".join(declaration(shop(), "payments")))["contexts"]["payments"]
    assert found["receivers"] == mine["receivers"]
    assert found["also_written_by"] == mine["also_written_by"]
    assert found["read_copies"] == [copy.partition("(")[0] for copy in mine["read_copies"]]


@settings(max_examples=30)
@given(ledgers(), st.sampled_from("abcde"))
def test_any_declaration_is_one_that_the_estate_file_takes(known: Ledger, name: str) -> None:
    lines = declaration(known, name)
    read = tomllib.loads("\n".join(lines)).get("contexts", {})
    _, problems = parse({"contexts": {name: {"apps": [f"shop.{name}"], **read.get(name, {})}}})
    assert [str(problem) for problem in problems] == []


@settings(max_examples=150)
@given(crossing())
def test_every_crossing_has_an_advice_whichever_side_leaves(known: Edge) -> None:
    for leaving in ("", known.source, known.target):
        told = advice(known, leaving)
        assert told.because.endswith(".")
        assert told.instead.endswith(".")
        assert "  " not in f"{told.because} {told.instead}"


def test_shared_code_of_the_project_may_stay_and_is_no_context_with_a_contract() -> None:
    told = advice(Edge(Kind.IMPORT, "a", "project", "x.py:*", "shop.problems"), "a")
    assert told.remedy is Remedy.KEEP
    assert "contract" not in told.text
    assert advice(told.edge) == told  # the project never leaves


def test_advices_are_in_the_order_of_the_ledger_without_the_projects_wiring() -> None:
    wiring = Edge(Kind.URL_INCLUDE, "project", "b", "urls.py:*", "shop.b.urls")
    mine = [edge(Kind.TASK, "b.tidy"), edge(Kind.GET_MODEL)]
    assert [told.edge for told in advices(ledger(wiring, *mine), "b")] == mine
