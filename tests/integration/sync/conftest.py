"""Two real databases with the product and the test apps in them; no mock of a database anywhere in this directory.

The tests run under any Django settings that have ``strangler`` installed; the two test apps and the two aliases are added here.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

if TYPE_CHECKING:  # at run time only once Django is set up, which is after this file is loaded
    from tests.integration.sync.estate import Estate, Threads
    from tests.integration.sync.process import Service

HERE = Path(__file__).resolve().parent
APPS = ["tests.integration.sync.people", "tests.integration.sync.bank"]


@pytest.fixture(scope="session")
def sync_databases(django_db_blocker, postgres, valkey_url) -> Iterator[Estate]:
    """Made once for the session: migrated, filled with the test project's tables, installed."""
    from tests.integration.sync.estate import DESTINATION, SOURCE, Estate, build

    strangler = {
        "ESTATE": HERE / "strangler.toml",
        "SIDE": "monolith",
        "CONTEXT": "",
        "REDIS_URL": valkey_url,
        "TOKEN": "a token that is long enough for the tests",
        "DATABASE": SOURCE,
    }
    installed = [*settings.INSTALLED_APPS, *(app for app in APPS if app not in settings.INSTALLED_APPS)]
    changed = {"STRANGLER": strangler, **({} if installed == list(settings.INSTALLED_APPS) else {"INSTALLED_APPS": installed})}
    with django_db_blocker.unblock(), override_settings(**changed):
        for alias in (SOURCE, DESTINATION):
            name = f"sync_{alias}_{os.getpid()}"
            postgres.create_database(name)
            given = copy.deepcopy(connections["default"].settings_dict)
            given.update(NAME=name, OPTIONS={}, CONN_MAX_AGE=None)
            connections.settings[alias] = given
            call_command("migrate", "strangler", database=alias, verbosity=0)
            build(alias)
        estate = Estate()
        estate.install()
        yield estate
        connections.close_all()


@pytest.fixture
def estate(sync_databases: Estate, django_db_blocker) -> Iterator[Estate]:
    from strangler.sync import collections

    with django_db_blocker.unblock(), override_settings(STRANGLER=settings.STRANGLER):
        collections.forget()
        sync_databases.reset()
        yield sync_databases


@pytest.fixture
def threads() -> Iterator[Threads]:
    from tests.integration.sync.estate import Threads

    started = Threads()
    yield started
    started.join()


@pytest.fixture
def service(estate: Estate) -> Iterator[Service]:
    """The bank's service over real HTTP, on the database ``destination``."""
    from tests.integration.sync.process import Service

    running = Service()
    running.start()
    yield running
    running.kill()
