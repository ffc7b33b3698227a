"""A pytest plugin (``-p tests.servers`` in pyproject.toml): the servers and the settings that every test stands on.

With ``DATABASE_URL`` and ``REDIS_URL`` in the environment those are used. Without them the embedded PostgreSQL and Valkey
start once for the session, in a directory of their own, so that a test run never touches the data of a running ``make up``.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deploy.local.child import Child
from deploy.local.errors import CannotStart
from deploy.local.ports import Ports
from deploy.local.postgres import Postgres
from deploy.local.register import Register
from deploy.local.supervisor import clear
from deploy.local.valkey import Valkey

PREFIX = "strangler-tests-"
ROOT = Path(__file__).resolve().parents[1]


def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _settings_environment() -> None:
    os.environ.setdefault("DEBUG", "0")
    os.environ.setdefault("SECRET_KEY", "for-tests-only-and-nowhere-else-0123456789abcdef")
    os.environ.setdefault("STRANGLER_SERVICE_TOKEN", "for-tests-only-service-token-0123456789abcdef")
    if "JWT_PRIVATE_KEY" not in os.environ:
        os.environ["JWT_PRIVATE_KEY"] = private_key()
    os.environ.setdefault("CELERY_BROKER_URL", "memory://")  # no test leaves a message for a worker that isn't there
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "monolith.settings")
    (ROOT / ".run" / "static").mkdir(parents=True, exist_ok=True)  # WhiteNoise warns without it, and warnings are errors


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Before pytest-django loads the settings, and before any conftest: some import models."""
    _settings_environment()
    try:
        _start_servers(early_config)
    except CannotStart as error:
        raise pytest.UsageError(str(error)) from error
    return (yield)


def _start_servers(config: pytest.Config) -> None:
    options = config.known_args_namespace
    if options.collectonly or options.help or options.version:
        os.environ.setdefault("DATABASE_URL", "postgres://shop@127.0.0.1:9/shop")
        os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:9/0")
        return
    if "DATABASE_URL" in os.environ and "REDIS_URL" in os.environ:
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # CI's time limit: stop the servers as Ctrl-C does
    _clear_up_after_killed_sessions()
    directory = state_directory()
    register = Register(directory)
    register.open()
    ports = Ports.free()
    started: list[Child] = []
    config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))
    config.add_cleanup(register.close)
    if "DATABASE_URL" not in os.environ:
        server = Postgres(directory, ports.postgres, durable=False)
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


def state_directory() -> Path:
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
