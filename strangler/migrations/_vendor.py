"""SQL in a migration, for each database its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.migrations.operations import RunSQL


class ByVendor(RunSQL):
    """``RunSQL`` of the statements that are given for the connection's vendor; nothing where there are none."""

    def __init__(self, *, undo: Mapping[str, Sequence[str]], **statements: Sequence[str]) -> None:
        self.statements, self.undo = statements, undo
        super().__init__(sql=RunSQL.noop, reverse_sql=RunSQL.noop)

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._run(self.statements, app_label, schema_editor)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._run(self.undo, app_label, schema_editor)

    def _run(self, statements: Mapping[str, Sequence[str]], app_label: str, schema_editor: Any) -> None:
        mine = list(statements.get(schema_editor.connection.vendor, ()))
        RunSQL(mine).database_forwards(app_label, schema_editor, None, None)
