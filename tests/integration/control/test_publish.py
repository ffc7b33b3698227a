"""The route table through real Valkey: numbered, monotone, acknowledged."""

from __future__ import annotations

import json

import pytest
import redis
from django.db import connection

from strangler.control import publish
from strangler.control.errors import NotConverged, RedisUnavailable
from strangler.control.ledger import DatabaseLedger
from strangler.control.models import Migration, RouteTableVersion
from strangler.control.publish import ProxyPlane
from strangler.domain import table
from strangler.domain.channels import TABLE
from strangler.domain.estate_file import parse
from strangler.domain.ratelimit import Limit
from strangler.domain.site import Site
from strangler.domain.stages import Position, Stage
from strangler.errors import LostLease
from tests.integration.control.proxy import FakeProxy

pytestmark = pytest.mark.django_db(transaction=True)
MIRROR, SHADOW = Position.of(Stage.MIRROR), Position.of(Stage.SHADOW)


@pytest.fixture
def plane(valkey: redis.Redis):
    Migration.objects.create(context="payments", stage="mirror", salt="s")
    made = ProxyPlane(DatabaseLedger())
    yield made
    made.close()


@pytest.fixture
def running(plane: ProxyPlane):
    return plane.ledger.begin(context="payments", verb="advance", at=MIRROR, to=SHADOW, step="publish", who="ada", why="")


def carried(valkey: redis.Redis) -> dict:
    return json.loads(valkey.get(TABLE))


def test_what_is_published_compiles_and_says_where_each_context_stands(valkey: redis.Redis, plane: ProxyPlane, running) -> None:
    plane.publish(running, SHADOW)
    compiled = table.compile(carried(valkey))
    assert compiled.contexts["payments"].stage is Stage.SHADOW
    assert compiled.contexts["orders"].stage is Stage.MONOLITH
    assert compiled.decide("GET", "/api/payments/7").context.name == "payments"
    assert "payments" in compiled.meet("POST", "/api/orders/checkout/").writes
    assert Migration.objects.get(context="payments").stage == "shadow"


def test_a_limit_is_published_as_it_was_declared(plane: ProxyPlane) -> None:
    limit = {"limit": "100/m", "limit_by": "address", "limit_burst": 20, "limit_shared": True}
    routes = [{"prefix": "/api/payments", **limit}, {"path": "/pay/confirm"}]
    estate, wrong = parse({"contexts": {"payments": {"apps": ["monolith.payments"], "routes": routes}}})
    assert wrong == []
    compiled = table.compile({"generation": 1, "version": 1, **publish.body(estate)})
    assert compiled.decide("GET", "/api/payments/7").met.limit == Limit(100, 60, 20, "address", True)
    assert compiled.decide("GET", "/pay/confirm").met.limit is None


def test_the_edge_learns_how_this_project_knows_its_browsers(valkey: redis.Redis, plane: ProxyPlane, running, settings) -> None:
    settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, settings.CSRF_HEADER_NAME = "shop", "shopcsrf", "HTTP_X_SHOP_TOKEN"
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.com"]
    plane.publish(running, SHADOW)
    compiled = table.compile(carried(valkey))
    assert compiled.site == Site("shop", "shopcsrf", "x-shop-token", ("https://*.example.com",))
    assert compiled.contexts["payments"].identity


def test_each_table_has_a_higher_number_and_is_announced(valkey: redis.Redis, plane: ProxyPlane, running) -> None:
    pubsub = valkey.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(TABLE)
    pubsub.get_message(timeout=1)
    numbers = [tuple(plane.publish(running, MIRROR)["table"]) for _ in range(3)]
    assert numbers == sorted(set(numbers))
    assert pubsub.get_message(timeout=1)["data"] == "{}.{}".format(*numbers[0]).encode()
    pubsub.close()


def test_a_hold_names_its_operation_and_ends_with_the_next_table(valkey: redis.Redis, plane: ProxyPlane, running) -> None:
    plane.publish(running, MIRROR, hold_ms=1500)
    assert carried(valkey)["contexts"]["payments"]["hold"] == {"operation": running.id, "for_ms": 1500}
    plane.publish(running, MIRROR)
    assert carried(valkey)["contexts"]["payments"]["hold"] is None


def test_p21_a_stale_holder_publishes_nothing(valkey: redis.Redis, plane: ProxyPlane, running) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_operation SET token = token + 1")
    with pytest.raises(LostLease):
        plane.publish(running, SHADOW)
    assert RouteTableVersion.objects.count() == 0
    assert valkey.get(TABLE) is None
    assert Migration.objects.get(context="payments").stage == "mirror"


def test_p21_redis_never_goes_back_to_an_older_table(valkey: redis.Redis, plane: ProxyPlane, running) -> None:
    plane.publish(running, MIRROR)
    old = publish.newest()
    plane.publish(running, SHADOW)
    assert publish.send(valkey, old) is False
    assert carried(valkey)["version"] == 2


def test_p21_a_redis_that_fell_back_or_lost_the_table_gets_the_newest_again(
    valkey: redis.Redis, plane: ProxyPlane, running
) -> None:
    plane.publish(running, MIRROR)
    fallen_back = valkey.get(TABLE)
    plane.publish(running, SHADOW)
    valkey.set(TABLE, fallen_back)
    assert publish.republish()
    assert carried(valkey)["version"] == 2
    valkey.flushdb()
    assert publish.republish()
    assert carried(valkey)["version"] == 2
    assert not publish.republish()


def test_p21_a_database_that_fell_back_begins_a_higher_generation(valkey: redis.Redis, plane: ProxyPlane, running) -> None:
    for _ in range(3):
        plane.publish(running, MIRROR)
    RouteTableVersion.objects.filter(version__gt=1).delete()
    assert plane.publish(running, SHADOW)["table"] == [2, 2]
    assert (carried(valkey)["generation"], carried(valkey)["version"]) == (2, 2)


def test_the_first_table_is_made_by_the_tick(valkey: redis.Redis, plane: ProxyPlane) -> None:
    assert publish.republish()
    assert table.compile(carried(valkey)).contexts["payments"].stage is Stage.MIRROR


def test_converged_waits_for_every_live_proxy(valkey_url: str, plane: ProxyPlane, running) -> None:
    with FakeProxy(valkey_url, "a"), FakeProxy(valkey_url, "b"):
        plane.publish(running, SHADOW)
        assert plane.converged(timeout_s=5) == {"a": "1.1", "b": "1.1"}


def test_converged_names_the_proxy_that_does_not_follow(valkey_url: str, plane: ProxyPlane, running) -> None:
    with FakeProxy(valkey_url, "a"), FakeProxy(valkey_url, "deaf", deaf=True):
        plane.publish(running, SHADOW)
        with pytest.raises(NotConverged, match=r"1 of 2 proxies did not acknowledge route table 1\.1 .*deaf \(table 0\.0\)"):
            plane.converged(timeout_s=0.3)


def test_a_proxy_that_was_silent_for_long_is_not_waited_for(
    valkey: redis.Redis, valkey_url: str, plane: ProxyPlane, running
) -> None:
    gone = {"id": "gone", "at": 1.0, "table": [0, 0], "held": {}, "error": ""}
    valkey.hset("strangler:proxies", "gone", json.dumps(gone))
    with FakeProxy(valkey_url, "a"):
        plane.publish(running, SHADOW)
        assert set(plane.converged(timeout_s=5)) == {"a"}


def test_held_wants_no_older_write_in_flight(valkey_url: str, plane: ProxyPlane, running) -> None:
    with FakeProxy(valkey_url, "a"), FakeProxy(valkey_url, "busy", busy=True) as busy:
        plane.publish(running, MIRROR, hold_ms=3000)
        with pytest.raises(NotConverged, match="no older write in flight.*busy"):
            plane.held(running, timeout_s=0.3)
        busy.busy = False
        plane.held(running, timeout_s=5)


def test_held_by_nobody_is_not_held(plane: ProxyPlane, running) -> None:
    plane.publish(running, MIRROR, hold_ms=3000)
    with pytest.raises(NotConverged, match="none of the proxies is left"):
        plane.held(running, timeout_s=0.2)


def test_redis_away_keeps_the_table_for_the_tick_and_says_so(valkey: redis.Redis, plane: ProxyPlane, running, settings) -> None:
    here = settings.STRANGLER
    settings.STRANGLER = {**here, "REDIS_URL": "redis://127.0.0.1:9/0"}
    away = ProxyPlane(plane.ledger)
    with pytest.raises(RedisUnavailable, match=r"127\.0\.0\.1:9/0 does not answer"):
        away.publish(running, SHADOW)
    settings.STRANGLER = here
    assert publish.republish()
    assert carried(valkey)["contexts"]["payments"]["stage"] == "shadow"
