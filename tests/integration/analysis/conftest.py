from __future__ import annotations

from collections.abc import Iterator

import pytest

import strangler.tasks  # noqa: F401  (as a Celery worker does)
from strangler.analysis.usage import flushing, storing, units
from strangler.analysis.usage.models import Usage


class Recorder:
    """What was recorded since the test began, flushed by hand."""

    def flush(self) -> None:
        with units.ours():
            assert flushing.flush()

    def rows(self, context: str = "payments") -> dict[tuple[str, str, str, str], int]:
        """(access, table, kind, source) → count."""
        self.flush()
        found = Usage.objects.filter(context=context)
        return {(row.access, row.table, row.kind, row.source): row.count for row in found}

    def writes(self) -> dict[str, int]:
        return {source: count for (access, _, _, source), count in self.rows().items() if access == "write"}


def forget() -> None:
    with storing._cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '5s'")  # a test that changes these rows itself has to commit
        cursor.execute("DELETE FROM strangler_usage")
        cursor.execute("DELETE FROM strangler_usage_span")
        cursor.execute("DELETE FROM strangler_crossing")


@pytest.fixture
def recorder(db, settings) -> Iterator[Recorder]:
    """What it stores is committed by its own connection, whatever becomes of the test's transaction."""
    settings.ROOT_URLCONF = "tests.integration.analysis.views"
    assert flushing.is_on
    flushing._begin_anew()
    yield Recorder()
    flushing._begin_anew()
    forget()
