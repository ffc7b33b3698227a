"""The list of planted couplings against the ledger of ``strangler analyze``, both ways, for all that shows without running it.

What the list knows besides is how data is written (``command``, ``task``, ``route``, ``update_expression``, ``bulk_create``,
``bulk_update``, ``transaction``): that shows when it runs. Seams are crossings as they should be, and are not listed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.conf import settings

from strangler.analysis.collect import collect
from strangler.domain.coupling.edges import RUNTIME, Edge, Kind
from strangler.domain.coupling.ledger import Ledger

LISTED = tomllib.loads((settings.BASE_DIR / "monolith" / "couplings.toml").read_text(encoding="utf-8"))["coupling"]
CONTEXTS = ("users", "customers", "products", "orders", "payments")
NOTED = ("users.User", "customers.Customer", "products.Product", "orders.Order", "payments.Payment")
# Each follows from a relation that is listed: its other side, and the order in which its tables are made.
DERIVED = (Kind.REVERSE_ACCESSOR, Kind.MIGRATION)
WRITTEN = {"command", "task", "route", "transaction", "update_expression", "bulk_create", "bulk_update"}
# What stays within a context, and is listed for the tables' sake, is no crossing.
AT_HOME = {"trigger", "settings_import"}


@pytest.fixture(scope="module")
def ledger(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Of source, registries and catalogue. A generic key is known by its rows, so there is a note on a model of each context;
    it is committed, since the ledger asks on a connection of its own."""
    from django.contrib.contenttypes.models import ContentType

    from monolith.shell.models import Note

    with django_db_blocker.unblock():
        types = [ContentType.objects.get_for_model(apps.get_model(label)) for label in NOTED]
        notes = Note.objects.bulk_create([Note(content_type=each, object_id="1", text="") for each in types])
        try:
            yield collect(only=("static", "live"))
        finally:
            Note.objects.filter(pk__in=[note.pk for note in notes]).delete()


def crossing(edges: tuple[Edge, ...]) -> list[Edge]:
    units = {*CONTEXTS, "shell"}
    return [edge for edge in edges if edge.source in units and edge.target in units]


def told(edges: list[Edge]) -> set[tuple[str, str, str, str]]:
    return {(edge.kind.value, edge.source, edge.where, edge.target) for edge in edges}


def test_every_coupling_of_the_list_is_found_and_no_other(ledger: Ledger) -> None:
    seen = [edge for edge in crossing(ledger.edges) if edge.kind not in (*DERIVED, Kind.SEAM, *RUNTIME)]
    listed = {
        (entry["kind"], entry["from"], entry["where"], to)
        for entry in LISTED
        if entry["kind"] not in WRITTEN
        for to in entry["to"]
        if to != entry["from"]
    }
    assert told(seen) == listed


def test_each_has_its_line_and_the_line_its_text(ledger: Ledger) -> None:
    for edge in crossing(ledger.edges):
        if not edge.where.startswith("database:"):
            assert edge.evidence, edge
            for proof in edge.evidence:
                lines = (settings.BASE_DIR / proof.file).read_text(encoding="utf-8").split("\n")
                assert proof.text in lines[proof.line - 1], edge


def test_what_is_not_listed_follows_from_a_relation_that_is(ledger: Ledger) -> None:
    relations = [edge for edge in ledger.edges if edge.kind in (Kind.FOREIGN_KEY, Kind.ONE_TO_ONE, Kind.MANY_TO_MANY)]
    places = {(edge.where, edge.target, edge.source) for edge in relations}
    tied = {(edge.source, edge.target) for edge in ledger.edges if edge.kind not in DERIVED}
    for edge in crossing(ledger.edges):
        if edge.kind is Kind.REVERSE_ACCESSOR and edge.note == "declared":
            assert (edge.where, edge.source, edge.target) in places
        elif edge.kind in DERIVED:
            assert (edge.source, edge.target) in tied


def test_nothing_of_the_shop_could_not_be_looked_at(ledger: Ledger) -> None:
    assert ledger.skipped == ()


def test_the_kinds_of_the_list_are_the_ledgers(ledger: Ledger) -> None:
    assert {entry["kind"] for entry in LISTED} <= {*Kind, *WRITTEN, *AT_HOME}
