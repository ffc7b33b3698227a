"""A service with planted faults behind the real proxy: each is named to endpoint and field, and nothing else is.

``PARITY_SAMPLES=2000`` takes as many as a team would wait for, with one error in a hundred.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from decimal import Decimal

import pytest

from strangler.control.parity import seen
from strangler.management import cli
from tests.integration.control.parity.conftest import Shadowed, as_json
from tests.integration.proxy.harness import Asked

SAMPLES = int(os.environ.get("PARITY_SAMPLES", "400"))
ERROR_EVERY = 100 if SAMPLES >= 2000 else 20
LIST, SEARCH, SUMMARY = "/api/payments/", "/api/payments/search/", "/api/payments/settlements/"
ONE = "GET /api/payments/<int:payment_id>/"


def payment(number: int) -> dict[str, object]:
    cents = Decimal(number * 37 % 1000) / 100
    return {"id": number, "amount": str(cents), "currency": "EUR", "captured_at": "2026-11-26T09:00:00Z"}


class Faulty:
    """Wrong rounding, a missing field, a slow endpoint, an error now and then, and a field that nobody answers twice alike."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.numbers = itertools.count(1)

    def value(self, asked: Asked) -> dict[str, object]:
        last = asked.target.rstrip("/").rpartition("/")[2]
        return {**payment(int(last) if last.isdigit() else 4217), "nonce": self.random.random()}

    def old(self, asked: Asked) -> bytes:
        return as_json(self.value(asked))

    def new(self, asked: Asked) -> bytes:
        value = self.value(asked)
        if asked.target == LIST:
            value["amount"] = str(round(Decimal(str(value["amount"])), 1))
        elif asked.target == SEARCH:
            del value["captured_at"]
        elif asked.target == SUMMARY:
            time.sleep(0.015)
        elif next(self.numbers) % ERROR_EVERY == 0:
            return as_json({"detail": "oops"}, 500)
        return as_json(value)


@pytest.mark.slow
def test_each_planted_fault_is_named_and_noise_raises_no_alarm(
    shadowed: Shadowed, settings, capsys: pytest.CaptureFixture
) -> None:
    shadowed.declare(settings, noise=0.2)
    faulty = Faulty(seed=6)
    shadowed.old, shadowed.service.handler = faulty.old, faulty.new
    rounds = SAMPLES // 8
    shadowed.ask(*itertools.chain(*([LIST, SEARCH, SUMMARY, *(f"{LIST}{n}{i}/" for i in range(5))] for n in range(rounds))))
    shadowed.counted(8 * rounds)

    assert cli.run(["parity", "payments", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    different = {(one["endpoint"], each["field"]) for one in said["endpoints"] for each in one["fields"] if each["different"]}
    assert different == {(f"GET {LIST}", "body $.amount"), (f"GET {SEARCH}", "body $.captured_at"), (ONE, "status")}
    assert [one["endpoint"] for one in said["endpoints"] if one["slower"]] == [f"GET {SUMMARY}"]
    noisy = {one["endpoint"] for one in said["endpoints"] for each in one["fields"] if each["field"] == "body $.nonce"}
    assert len(noisy) == 4

    found = seen.observations("payments")
    assert (found.samples, found.unjudged, found.in_flight) == (8 * rounds, 0, 0)
    assert (found.worst, found.different) == (f"`GET {LIST}` field `body $.amount`", 3)
    assert found.differing == rounds * 2 + found.new_errors
    assert found.low < found.rate < found.high < 0.8
    assert found.samples_per_s > 1
    assert found.new_p95_ms > found.old_p95_ms

    assert cli.run(["parity", "proposals", "payments"]) == 0
    out = capsys.readouterr().out
    assert out.count("[[contexts.payments.parity]]") == 4
    assert out.count('field = "body $.nonce"') == 4
