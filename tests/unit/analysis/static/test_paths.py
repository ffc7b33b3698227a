"""Which joins a path needs: those that Django leaves out at its end are left out here too."""

from __future__ import annotations

import pytest

from strangler.analysis.static.paths import Paths
from strangler.domain.coupling.models import FieldFacts, ModelFacts
from tests.unit.analysis.static.shop import models


def _model(label: str, *fields: FieldFacts, pk: str = "id") -> ModelFacts:
    return ModelFacts(label, "m", label, label.lower(), {field.name: field for field in fields}, pk=pk)


# A place with an address; a restaurant that is one, over tables; a waiter of a restaurant; a town by its code.
TOWN = _model("a.Town", FieldFacts("id"), FieldFacts("code"))
PLACE = _model(
    "a.Place", FieldFacts("id"), FieldFacts("address"), FieldFacts("town", "foreign_key", "a.Town", "town_id", to_field="code")
)
RESTAURANT = _model(
    "b.Restaurant",
    FieldFacts("id", owner="a.Place"),
    FieldFacts("address", owner="a.Place"),
    FieldFacts("town", "foreign_key", "a.Town", "town_id", to_field="code", owner="a.Place"),
    FieldFacts("place_ptr", "one_to_one", "a.Place", "place_ptr_id"),
    FieldFacts("stars"),
    pk="place_ptr",
)
WAITER = _model("c.Waiter", FieldFacts("id"), FieldFacts("restaurant", "foreign_key", "b.Restaurant", "restaurant_id"))
INHERITED = Paths({model.label: model for model in (TOWN, PLACE, RESTAURANT, WAITER)})
JOINS = {
    ("b.Restaurant", "stars"): (),
    ("b.Restaurant", "address"): ("a.Place",),
    ("b.Restaurant", "id"): (),  # the key of the parent is the child's own column
    ("b.Restaurant", "pk"): (),
    ("b.Restaurant", "place_ptr__address"): ("a.Place",),
    ("b.Restaurant", "town"): ("a.Place",),
    ("b.Restaurant", "town__code"): ("a.Place",),  # what the foreign key points to
    ("a.Place", "town__code"): (),
    ("a.Place", "town__id"): ("a.Town",),
    ("c.Waiter", "restaurant__pk"): (),
    ("c.Waiter", "restaurant__place_ptr"): (),
    ("c.Waiter", "restaurant__place_ptr__id"): (),
    ("c.Waiter", "restaurant__stars"): ("b.Restaurant",),
    ("c.Waiter", "restaurant__address"): ("b.Restaurant", "a.Place"),
}


@pytest.mark.parametrize(("label", "text"), JOINS)
def test_a_path_over_inherited_tables(label: str, text: str) -> None:
    assert INHERITED.joined(label, text).models == JOINS[label, text]


def test_what_is_no_field_is_left_over() -> None:
    path = Paths(models()).joined("orders.Order", "customer__notes__account__email__icontains")
    assert (path.text, path.models) == ("customer__notes", ("customers.Customer",))
    assert path.rest == ("account", "email", "icontains")


@pytest.mark.parametrize("text", ["", "__", "nothing", "nothing__customer", "customer__", "__customer", "pk__pk"])
def test_what_is_no_path_leads_nowhere(text: str) -> None:
    paths = Paths(models())
    assert paths.joined("orders.Order", text).models == ()
    assert paths.joined("nobody.Knows", text).models == paths.fetched("nobody.Knows", text).models == ()


def test_a_relation_to_a_model_that_is_not_known_ends_there() -> None:
    paths = Paths({WAITER.label: WAITER})
    assert paths.joined("c.Waiter", "restaurant__stars").models == ()
    assert paths.fetched("c.Waiter", "restaurant__place").models == ("b.Restaurant",)
