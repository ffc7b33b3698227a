"""Fixtures for every test. The servers and the settings come from the plugin ``tests.servers``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from deploy.local.supervisor import Estate
from tests.mailbox import Mailbox, open_mailbox
from tests.operator import Operator
from tests.rabbitmq import RabbitMQ
from tests.servers import state_directory


@dataclass
class Postgres:
    """A server on which tests may make databases. ``url`` is the role's own database."""

    url: str
    made: list[str] = field(default_factory=list)

    def create_database(self, name: str) -> str:
        """An empty database ``name``, owned by the role of ``url``; dropped at the end of the session. Gives its URL."""
        with self._maintenance() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        self.made.append(name)
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def drop_all(self) -> None:
        with self._maintenance() as connection:
            for name in self.made:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _maintenance(self) -> psycopg.Connection:
        return psycopg.connect(urlunsplit(urlsplit(self.url)._replace(path="/postgres")), autocommit=True)


def pytest_sessionstart() -> None:
    """Nobody writes into a test's database behind its back: tests of the recorder flush by hand."""
    from strangler.analysis.usage import flushing

    flushing.is_automatic = False


@pytest.fixture(autouse=True)
def _what_retired_in_another_test_is_not_believed() -> None:
    from strangler.seams import retirement

    retirement.forget()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres(os.environ["DATABASE_URL"])
    yield server
    server.drop_all()


@pytest.fixture(scope="session")
def valkey_url() -> str:
    """A Valkey of this session; database number included, so that a test may flush it."""
    return os.environ["REDIS_URL"]


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """A RabbitMQ of this session; started by the first test that needs one."""
    server = RabbitMQ(state_directory())
    server.start()
    yield server
    server.stop()
    server.discard()


@pytest.fixture(scope="session")
def mailbox() -> Iterator[Mailbox]:
    """Where the estate's mails arrive."""
    with open_mailbox() as server:
        yield server


@pytest.fixture(scope="session")
def estate(mailbox: Mailbox) -> Iterator[Estate]:
    """A whole estate on free ports, with its own servers and sample data. Mark its tests ``estate``.

    Nothing is restarted by itself: what a test kills stays dead until it says ``estate.restart(name)``.
    """
    directory = state_directory()
    with Estate(state_dir=directory, ports="free", quiet=True, given={"EMAIL_URL": mailbox.url}) as running:
        yield running
    running.discard()


@pytest.fixture(scope="session")
def operator(estate: Estate) -> Iterator[Operator]:
    with Operator(estate) as somebody:
        yield somebody
