"""The minutes of the proxies, as the gates read them from a real Valkey; and an override from the command to the receipt."""

from __future__ import annotations

import json
import time

import pytest
import redis

from strangler.control import engine
from strangler.control.errors import GatesClosed
from strangler.control.models import Operation, Receipt
from strangler.control.served import Served
from strangler.domain.channels import SERVED
from strangler.errors import Misuse
from strangler.management import cli
from strangler_proxy.metrics import Metrics
from strangler_proxy.minutes import Minutes
from tests.integration.control.conftest import SmallEstate

WHO = {"who": "ada", "why": "a test", "tries": 1}
NOW = 60_000_000.0


def tell(
    client: redis.Redis, *, service: int = 0, failed: int = 0, monolith: int = 0, at: float = NOW, worker: str = "proxy:1"
) -> None:
    """As a proxy's worker does."""
    metrics = Metrics()
    for number in range(service):
        metrics.served("payments", "service", "canary", "read").add(500 if number < failed else 200, 0.004)
    for _ in range(monolith):
        metrics.served("payments", "monolith", "canary", "read").add(200, 0.004)
    due = Minutes(metrics, worker).due(at)
    assert due is not None
    client.hset(due[0], due[1], due[2])


def test_all_workers_and_minutes_of_the_window_are_added_up(valkey: redis.Redis) -> None:
    tell(valkey, service=10, failed=2, monolith=50)
    tell(valkey, service=5, monolith=50, worker="proxy:2")
    tell(valkey, service=7, at=NOW - 540)
    tell(valkey, service=1000, at=NOW - 600)
    service, monolith = Served(valkey, "payments", now=NOW).both(600, 100)
    assert (service.requests, service.failed, monolith.requests) == (22, 2, 100)
    assert sum(service.times) == 22
    assert not monolith.earlier
    assert Served(valkey, "orders", now=NOW).both(600, 0)[0].requests == 0


def test_a_monolith_that_serves_hardly_any_more_is_judged_by_its_earlier_reads(valkey: redis.Redis) -> None:
    tell(valkey, service=300, monolith=3)
    tell(valkey, service=300, monolith=400, at=NOW - 3 * 3600)
    tell(valkey, monolith=9999, at=NOW - 20 * 3600)
    service, monolith = Served(valkey, "payments", now=NOW).both(600, 200)
    assert (service.requests, monolith.requests, monolith.earlier) == (300, 403, True)


def test_what_was_before_a_way_back_does_not_count(valkey: redis.Redis) -> None:
    tell(valkey, service=300, failed=300, at=NOW - 300)
    tell(valkey, service=40, at=NOW)
    assert Served(valkey, "payments", now=NOW, since=NOW - 240).both(600, 0)[0].failed == 0


def test_a_report_that_makes_no_sense_proves_nothing(valkey: redis.Redis) -> None:
    tell(valkey, service=3)
    minute = f"{SERVED}{int(NOW // 60)}"
    for number, text in enumerate(("{half", "[]", "{}", '{"bounds": [1], "contexts": {"payments": {"service": [1, -1, 0, 0]}}}')):
        valkey.hset(minute, f"rubbish:{number}", text)
    valkey.hset(minute, "other", json.dumps({"bounds": [1], "contexts": {"payments": {"service": [2, 0, 1, 1]}}}))
    service, _ = Served(valkey, "payments", now=NOW).both(600, 0)
    assert (service.requests, sum(service.times)) == (5, 3), "times of other bounds are left out"


# ---- overrides -----------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(estate: SmallEstate) -> SmallEstate:
    """In canary, with a service that fails every other read."""
    engine.advance("payments", to="canary", percent=10, **WHO)
    tell(estate.redis, service=400, failed=200, monolith=400, at=time.time())
    return estate


def test_a_service_that_fails_its_readers_goes_no_further(failing: SmallEstate) -> None:
    with pytest.raises(GatesClosed, match="errors: 50 % of the service's 400 reads failed, 0 % of the monolith's 400"):
        engine.advance("payments", **WHO)


def test_an_override_lets_one_transition_go_on_and_its_receipt_says_so_for_ever(failing: SmallEstate, capsys) -> None:
    words = ["advance", "payments", "--override", "errors", "--why", "the errors are a crawler's", "--json"]
    assert cli.run([*words, "--dry-run"]) == 0
    assert cli.run(words) == 0
    receipt = Receipt.objects.latest("id")
    (errors,) = (verdict for verdict in receipt.verdicts if verdict["gate"] == "errors")
    assert errors["state"] == "fail"
    assert errors["overridden"]["why"] == "the errors are a crawler's"
    assert all("overridden" not in verdict for verdict in receipt.verdicts if verdict["gate"] != "errors")
    capsys.readouterr()
    assert cli.run(["receipts", "payments"]) == 0
    assert "in spite of errors" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(GatesClosed, match="errors"):
        engine.advance("payments", **WHO)


def test_an_override_stands_with_its_operation_and_so_with_whoever_resumes_it(failing: SmallEstate) -> None:
    engine.advance("payments", overrides=["errors"], **WHO)
    assert Operation.objects.latest("started_at").data["overrides"] == ["errors"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"overrides": ["errors"], "why": " "}, "an override needs a reason"),
        ({"overrides": ["drift"]}, "an acknowledged write would be lost"),
        ({"overrides": ["parities"]}, "has no gate 'parities'; it has parity, errors, latency, health"),
        ({"overrides": ["errors"], "to": "live"}, "an override is for one transition"),
    ],
)
def test_an_override_that_is_not_one_is_refused_before_anything_begins(failing: SmallEstate, more: dict, said: str) -> None:
    before = Operation.objects.count()
    with pytest.raises(Misuse, match=said):
        engine.advance("payments", **{**WHO, **more})
    assert Operation.objects.count() == before
