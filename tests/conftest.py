"""The servers and the settings that every test stands on.

With ``DATABASE_URL`` and ``REDIS_URL`` in the environment those are used. Without them the embedded PostgreSQL and Valkey
start once for the session, in a directory of their own, so that a test run never touches the data of a running ``make up``.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from psycopg import sql

from deploy.local.child import Child
from deploy.local.errors import CannotStart
from deploy.local.ports import Ports
from deploy.local.postgres import Postgres as EmbeddedPostgres
from deploy.local.register import Register
from deploy.local.supervisor import Estate, clear
from deploy.local.valkey import Valkey

PREFIX = "strangler-tests-"
ROOT = Path(__file__).resolve().parents[1]


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


def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _settings_environment() -> None:
    os.environ.setdefault("DEBUG", "0")
    os.environ.setdefault("SECRET_KEY", "for-tests-only-and-nowhere-else-0123456789abcdef")
    os.environ.setdefault("STRANGLER_SERVICE_TOKEN", "for-tests-only-service-token-0123456789abcdef")
    if "JWT_PRIVATE_KEY" not in os.environ:
        os.environ["JWT_PRIVATE_KEY"] = _private_key()
    os.environ.setdefault("CELERY_BROKER_URL", "memory://")  # no test leaves a message for a worker that isn't there
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monolith.settings")


_settings_environment()
(ROOT / ".run" / "static").mkdir(parents=True, exist_ok=True)  # WhiteNoise warns without it, and warnings are errors


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start what the environment does not name. Runs before pytest-django sets Django up, with the settings loaded here."""
    _start_servers(config)
    importlib.import_module("django.conf").settings.INSTALLED_APPS  # noqa: B018  (pytest-django passes over settings not loaded)


def _start_servers(config: pytest.Config) -> None:
    if config.option.collectonly or config.option.help:
        os.environ.setdefault("DATABASE_URL", "postgres://shop@127.0.0.1:9/shop")
        os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:9/0")
        return
    if "DATABASE_URL" in os.environ and "REDIS_URL" in os.environ:
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # CI's time limit: stop the servers as Ctrl-C does
    _clear_up_after_killed_sessions()
    directory = _directory()
    register = Register(directory)
    register.open()
    ports = Ports.free()
    started: list[Child] = []
    config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))
    config.add_cleanup(register.close)
    if "DATABASE_URL" not in os.environ:
        server = EmbeddedPostgres(directory, ports.postgres, durable=False)
        config.add_cleanup(server.discard)
        config.add_cleanup(server.stop)
        server.start()
        started += [server.child] if server.child else []
        os.environ["DATABASE_URL"] = server.ensure_database("shop")
        os.environ.setdefault("PAYMENTS_DATABASE_URL", server.ensure_database("payments"))
    if "REDIS_URL" not in os.environ:
        valkey = Valkey(directory, ports.valkey)
        config.add_cleanup(valkey.discard)
        config.add_cleanup(valkey.stop)
        os.environ["REDIS_URL"] = valkey.start()
        started += [valkey.child] if valkey.child else []
    register.note(started)


def _directory() -> Path:
    """The session's state directory. The servers' account must be able to enter it, but not to list it."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    directory.chmod(0o711)
    return directory


def _clear_up_after_killed_sessions() -> None:
    """`kill -9` for pytest leaves servers running; the lock in their directory is free then."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        try:
            clear(lock.parent)
        except (CannotStart, PermissionError):  # it runs, or belongs to somebody else
            continue


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
def estate() -> Iterator[Estate]:
    """A whole estate on free ports, with its own servers and sample data. Mark its tests ``estate``.

    Nothing is restarted by itself: what a test kills stays dead until it says ``estate.restart(name)``.
    """
    directory = _directory()
    with Estate(state_dir=directory, ports="free", quiet=True) as running:
        yield running
    running.discard()
