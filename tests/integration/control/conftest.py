"""A Valkey database that is empty before each test, and the control plane's tables in PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis


@pytest.fixture
def valkey(valkey_url: str, settings) -> Iterator[redis.Redis]:
    settings.STRANGLER = {**settings.STRANGLER, "REDIS_URL": valkey_url, "TOKEN": os.environ["STRANGLER_SERVICE_TOKEN"]}
    client = redis.Redis.from_url(valkey_url)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()
