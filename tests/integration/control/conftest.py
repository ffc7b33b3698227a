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
ramp = {{ steps = [10, 100] }}
receivers = {{ "monolith.orders.receivers._on_captured" = "drop", "monolith.shell.receivers.on_refund" = "monolith" }}

[contexts.payments.gates]
max_pause_ms = {pause}
lag_p99_ms = 5000
max_task_wait_s = 1
min_samples = 0
min_requests = 0
writers_days = 0
retire_days = 0
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
def around(valkey: redis.Redis, valkey_url: str, settings, tmp_path: Path) -> Iterator[SmallEstate]:
    """The estate around a database that the test asks for itself."""
    with FakeService(settings.STRANGLER["TOKEN"]) as service:
        file = tmp_path / "strangler.toml"
        file.write_text(TOML.format(service=service.url, pause=2000))
        settings.STRANGLER = {**settings.STRANGLER, "ESTATE": str(file)}
        with FakeProxy(valkey_url) as proxy:
            yield SmallEstate(service, proxy, valkey)


@pytest.fixture
def estate(transactional_db, around: SmallEstate) -> Iterator[SmallEstate]:
    from strangler.sync import install
    from strangler.sync.models import Ownership

    yield around
    Ownership.objects.update(owner="monolith")
    install.uninstall(None)


@pytest.fixture
def canary(estate: SmallEstate) -> SmallEstate:
    """Payments where the cut-over is next, put there as its transitions would have left it."""
    from strangler.sync import drift, relay

    stand(estate, "canary", 100)
    change_owner(estate, 1, "monolith")
    for name in ("payments", "payments-copies"):
        relay.run(name)
        drift.check(name)
    return estate


@pytest.fixture
def live(canary: SmallEstate) -> SmallEstate:
    """After the cut-over."""
    from strangler.sync import reverse, streams

    stand(canary, "live", 0)
    streams.start("payments-reverse")
    change_owner(canary, 2, "service")
    reverse.run("payments-reverse")
    return canary


def stand(estate: SmallEstate, stage: str, percent: int) -> None:
    """Capture, fence, loose keys, streams and backfills; without the way there, which takes a second or two."""
    from strangler.control.models import Migration
    from strangler.sync import backfill, install, loose_keys, streams
    from strangler.sync.models import Backfill

    said = {"stage": stage, "percent": percent, "salt": "salt"}
    if not Migration.objects.update_or_create(context="payments", defaults=said)[1]:
        return
    install.install("payments")
    loose_keys.drop("payments")
    for name in ("payments", "payments-copies"):
        backfill.start(name)
        streams.start(name)
    Backfill.objects.update(state="done")  # of empty tables


def change_owner(estate: SmallEstate, epoch: int, owner: str) -> None:
    from strangler.control import publish
    from strangler.sync import ownership

    ownership.change("payments", epoch=epoch, owner=owner, operation="a test")
    estate.service.row = {"context": "payments", "epoch": epoch, "owner": owner, "operation": "a test"}
    estate.proxy.wait_for(publish.publish_current().version)
