"""What Django does again for each test and once is enough. Nothing of the shop's own is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

FROM_MIGRATE = {"django_content_type", "auth_permission"}
"""Tables whose rows stand for models: migrate fills them, and no test writes them."""
APPEND_ONLY = "strangler_receipt"


@pytest.fixture(scope="session")
def _everywhere() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="session", autouse=True)
def _light_passwords(_everywhere: pytest.MonkeyPatch) -> None:
    """Argon2 as in the settings, with a cost that is right for passwords nobody guards. Whole estates pay the real one."""
    from django.contrib.auth.hashers import Argon2PasswordHasher

    for name, cost in {"time_cost": 1, "memory_cost": 64, "parallelism": 1}.items():
        _everywhere.setattr(Argon2PasswordHasher, name, cost)


@pytest.fixture(scope="session", autouse=True)
def _quick_flush(_everywhere: pytest.MonkeyPatch) -> None:
    """After a test with transactions of its own every table is emptied. Four fifths of that would be filling two of them anew."""
    from django.core.management.commands import flush

    def rest(style: Any, connection: Any, **how: Any) -> list[str]:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        emptied = list(connection.ops.sql_flush(style, [name for name in tables if name not in FROM_MIGRATE], **how))
        if connection.vendor == "postgresql" and APPEND_ONLY in tables:  # who owns the table may do that: a test, for one
            trigger = "TRIGGER strangler_append_only_truncate"
            return [
                f"ALTER TABLE {APPEND_ONLY} DISABLE {trigger}",
                *emptied,
                f"ALTER TABLE {APPEND_ONLY} ENABLE ALWAYS {trigger}",
            ]
        return emptied

    _everywhere.setattr(flush, "sql_flush", rest)
    _everywhere.setattr(flush, "emit_post_migrate_signal", lambda *_, **__: None)


@pytest.fixture(scope="session", autouse=True)
def _files_found_once(_everywhere: pytest.MonkeyPatch) -> None:
    """Each test client builds the middleware anew, and WhiteNoise's lists all static files then: they are the same ones."""
    from whitenoise.middleware import WhiteNoiseMiddleware

    find = WhiteNoiseMiddleware.add_files_from_finders
    found: dict[str, Any] = {}

    def find_once(self: WhiteNoiseMiddleware) -> None:
        if not found:
            find(self)
            found.update(self.files)
        self.files.update(found)

    _everywhere.setattr(WhiteNoiseMiddleware, "add_files_from_finders", find_once)
