"""Which models go before which, and what stays of a relation into them."""

from __future__ import annotations

from django.db import migrations, models
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import OperationWriter

from strangler.analysis.removal import migration
from strangler.analysis.removal.operations import InApp


def model(called: str, app: str = "a", **fields: models.Field) -> ModelState:
    return ModelState(app, called, [("id", models.BigAutoField(primary_key=True)), *fields.items()])


def to(name: str, **given: object) -> models.Field:
    return models.ForeignKey(name, models.CASCADE, **given)  # type: ignore[arg-type]


def keyed(*states: ModelState) -> dict[tuple[str, str], ModelState]:
    return {(state.app_label, state.name_lower): state for state in states}


def test_a_model_goes_before_those_that_it_points_to() -> None:
    doomed = keyed(
        model("Parent"), model("Child", up=to("a.Parent")), model("Leaf", up=to("a.child"), self=to("self", null=True))
    )
    assert migration._ordered(doomed) == ([("a", "leaf"), ("a", "child"), ("a", "parent")], [])


def test_models_that_point_at_each_other_lose_one_key_first() -> None:
    doomed = keyed(model("One", other=to("a.Two", null=True)), model("Two", other=to("a.One")), model("Three", up=to("a.One")))
    order, circular = migration._ordered(doomed)
    assert len(circular) == 1
    assert order.index(("a", "three")) < order.index(("a", "one"))


def test_a_child_of_an_inherited_table_goes_before_its_parent() -> None:
    child = ModelState("a", "Child", [("extra", models.TextField())], bases=("a.parent",))
    assert migration._ordered(keyed(model("Parent"), child))[0] == [("a", "child"), ("a", "parent")]


def test_what_stays_of_a_relation_is_a_column_with_the_key() -> None:
    parent = model("Parent")
    other = model("Other", app="b", up=to("a.Parent", null=True, db_column="parent_ref"), many=models.ManyToManyField("a.Parent"))
    kept = migration._plain(other, ("up", other.fields["up"]), keyed(parent))
    assert isinstance(kept, migrations.AlterField)
    assert isinstance(kept.field, models.BigIntegerField)
    assert (kept.field.db_column, kept.field.null) == ("parent_ref", True)
    assert isinstance(migration._plain(other, ("many", other.fields["many"]), keyed(parent)), migrations.RemoveField)


def test_the_operation_for_another_app_is_written_and_changes_that_apps_state() -> None:
    state = ProjectState()
    state.add_model(model("Other", app="b", name=models.TextField()))
    operation = InApp("b", [migrations.RemoveField("other", "name")], state_only=True)
    operation.state_forwards("a", state)
    assert "name" not in state.models["b", "other"].fields
    text, imports = OperationWriter(operation, indentation=0).serialize()
    assert "InApp(" in text
    assert any("strangler.analysis.removal.operations" in line for line in imports)
