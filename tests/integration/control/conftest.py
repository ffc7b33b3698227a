"""An estate around the engine: real PostgreSQL and Valkey, a proxy that acknowledges, a service that keeps to the contract."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.integration.control.proxy import FakeProxy
from tests.integration.control.service import FakeService

TOML = """
[estate]
monolith = ["http://127.0.0.1:8001"]

[contexts.orders]
apps = ["monolith.orders"]
routes = [{{ prefix = "/api/orders" }}]

[contexts.payments]
apps = ["monolith.payments"]
routes = [{{ prefix = "/api/payments" }}]
also_written_by = ["/api/orders/checkout"]
read_copies = ["orders.Order", "users.User(id,email,is_active)"]
service = {{ urls = ["{service}"] }}
gates = {{ max_pause_ms = {pause}, lag_p99_ms = 5000, max_task_wait_s = 1, writers_days = 0, retire_days = 0 }}
ramp = {{ steps = [10, 100] }}
receivers = {{ "monolith.orders.receivers._on_captured" = "drop", "monolith.shell.receivers.on_refund" = "monolith" }}
"""


@pytest.fixture
def valkey(valkey_url: str, settings) -> Iterator[redis.Redis]:
    settings.STRANGLER = {**settings.STRANGLER, "REDIS_URL": valkey_url, "TOKEN": os.environ["STRANGLER_SERVICE_TOKEN"]}
    client = redis.Redis.from_url(valkey_url)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


@dataclass
class SmallEstate:
    service: FakeService
    proxy: FakeProxy
    redis: redis.Redis


@pytest.fixture
def estate(transactional_db, valkey: redis.Redis, valkey_url: str, settings, tmp_path: Path) -> Iterator[SmallEstate]:
    from strangler.sync import install
    from strangler.sync.models import Ownership

    with FakeService(settings.STRANGLER["TOKEN"]) as service:
        file = tmp_path / "strangler.toml"
        file.write_text(TOML.format(service=service.url, pause=2000))
        settings.STRANGLER = {**settings.STRANGLER, "ESTATE": str(file)}
        with FakeProxy(valkey_url) as proxy:
            yield SmallEstate(service, proxy, valkey)
        Ownership.objects.update(owner="monolith")
        install.uninstall(None)
