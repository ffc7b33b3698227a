"""An operation for migrations that retire a context: others, done to the models of another app."""

from __future__ import annotations

from typing import Any

from django.db.migrations.operations.base import Operation


class InApp(Operation):
    """``operations`` on the models of ``app_label``, whichever app's migration this stands in. Reversible as far as they are.

    With ``state_only`` the database is left as it is.
    """

    serialization_expand_args = ["operations"]

    def __init__(self, app_label: str, operations: list[Operation], state_only: bool = False) -> None:
        self.app_label, self.operations, self.state_only = app_label, operations, state_only

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        given: dict[str, Any] = {"app_label": self.app_label, "operations": self.operations}
        if self.state_only:
            given["state_only"] = True
        return type(self).__name__, [], given

    def state_forwards(self, _: str, state: Any) -> None:
        for operation in self.operations:
            operation.state_forwards(self.app_label, state)

    def database_forwards(self, _: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if self.state_only:
            return
        for operation in self.operations:
            to_state = from_state.clone()
            operation.state_forwards(self.app_label, to_state)
            operation.database_forwards(self.app_label, schema_editor, from_state, to_state)
            from_state = to_state

    def database_backwards(self, _: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """``to_state`` is the older one. Each operation is undone between the two states that it stands between."""
        if self.state_only:
            return
        states = [to_state]
        for operation in self.operations:
            after = states[-1].clone()
            operation.state_forwards(self.app_label, after)
            states.append(after)
        for index in reversed(range(len(self.operations))):
            self.operations[index].database_backwards(self.app_label, schema_editor, states[index + 1], states[index])

    def describe(self) -> str:
        return f"{self.app_label}: {', '.join(operation.describe() for operation in self.operations)}"
