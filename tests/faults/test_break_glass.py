"""A service that owns is killed with -9 and left by break-glass; it comes back, writes nothing, and nothing is out of sight.

Real processes throughout: the service dies with writes that it acknowledged and nobody has fetched, because the monolith's worker
was dead as well.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from strangler.seams.stamps import ACCESS, CONTEXT, EPOCH
from tests.faults.test_kill_nine import OWNER, ROWS, until
from tests.faults.writers import Writers
from tests.operator import Operator

pytestmark = [pytest.mark.estate, pytest.mark.timeout(240)]

COLLECTED = "SELECT error FROM strangler_stranding WHERE collected_at IS NOT NULL"


class Buyer:
    """Somebody who orders first and pays later."""

    def __init__(self, url: str) -> None:
        self.url, self.session = url, requests.Session()
        login = {"email": "user0007@example.com", "password": "demo"}
        self.session.headers["Authorization"] = f"Bearer {self._post('/api/users/token/', login)['access']}"
        self.sku = self.session.get(f"{url}/api/products/", timeout=20).json()["results"][7]["sku"]

    def order(self) -> dict[str, Any]:
        lines = [{"sku": self.sku, "quantity": 1}]
        return self._post("/api/orders/checkout/", {"lines": lines, "method": "ok", "pay": "later"})

    def pay(self, order: dict[str, Any]) -> str:
        """The payment's id, once it is acknowledged."""
        charge = {"order": order["id"], "amount": order["total"], "currency": order["currency"], "method": "ok"}
        return str(self._post("/api/payments/", charge)["id"])

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.session.post(self.url + path, json=body, headers={"Idempotency-Key": str(uuid.uuid4())}, timeout=20)
        assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text[:300]}"
        return dict(answer.json())


@pytest.fixture
def healed(operator: Operator) -> Iterator[Operator]:
    yield operator
    for name in ("payments", "worker"):
        if not operator.estate.running(name):
            operator.estate.restart(name)


def test_p22_a_dead_owner_is_left_and_what_it_had_acknowledged_is_found_when_it_returns(healed: Operator) -> None:
    operator, estate = healed, healed.estate
    operator.bring("canary", 100)
    operator.go("advance", "payments", "--max-pause", "10s")  # how short it can be is not what is tested here
    buyer = Buyer(estate.url)
    orders = [buyer.order() for _ in range(3)]
    ids = ", ".join(f"'{order['id']}'" for order in orders)
    there = f"SELECT count(*) FROM orders_order WHERE id::text IN ({ids})"
    until(lambda: operator.query("payments", there) == [(3,)], 30, "the orders at the service")
    estate.kill("worker")  # nobody fetches the service's feed any more
    paid = {buyer.pay(order) for order in orders}
    ((_, epoch),) = operator.query("payments", OWNER)

    refused = operator.begin("rollback", "payments", "--force-dead-service", "--confirm", f"payments {epoch}")
    assert refused.communicate(60)[0], "a service that lives was left"
    assert refused.returncode == 1
    estate.kill("payments")
    words = ["rollback", "payments", "--force-dead-service", "--confirm", f"payments {epoch}", "--why", "its machine is gone"]
    (receipt,) = operator.go(*words)["receipts"]
    assert (receipt["outcome"], receipt["to"]["stage"]) == ("done", "mirror")
    assert any(verdict["gate"] == "loss" and "at least 0 rows" in verdict["reason"] for verdict in receipt["verdicts"])
    ((owner, now),) = operator.query("monolith", OWNER)
    assert (owner, now > epoch + 1) == ("monolith", True)
    with Writers(estate.url) as after:
        assert after.wait_for(2, 60), f"nobody can pay without the service: {after.refused[-3:]}"
    assert not after.refused

    estate.restart("payments")  # with nobody to tell it yet, because the worker is dead still
    assert operator.query("payments", OWNER) == [("service", epoch)]
    stamp = {CONTEXT: "payments", EPOCH: str(now), ACCESS: "write"}
    answer = requests.post(f"http://127.0.0.1:{estate.place.ports.payments}/api/payments/", headers=stamp, timeout=10)
    assert answer.status_code == 421, answer.text  # P20: it is stale, and knows by the stamp

    estate.restart("worker")
    until(lambda: operator.query("payments", OWNER) == [("monolith", now)], 30, "the word that it owns no more")
    until(lambda: operator.query("monolith", COLLECTED) == [("",)], 30, "what it had acknowledged")
    here = {row[0] for row in operator.query("monolith", ROWS)}
    assert not paid & here  # applied by nobody
    listing = operator.begin("sync", "stranded", "payments")
    said = json.loads(listing.communicate(60)[0])
    assert (listing.returncode, said["collected"]) == (1, True)
    stranded = {one["key"] for one in said["changes"] if one["collection"] == "payments.Payment" and one["here"] == "no such row"}
    assert stranded == paid
    assert not paid & set(after.acknowledged), "an id was given out twice"

    operator.go("sync", "stranded", "payments", "--settle-all", "--reason", "seen by a test")
    assert operator.go("sync", "backfill", "payments")["complete"]
    until(lambda: operator.query("monolith", ROWS) == operator.query("payments", ROWS), 30, "the mirror made anew")
