"""An owner and a service with planted faults, by a seed: what a parallel run sees of them, without the network.

Every request is answered by both; about half ask the owner twice. Amounts, states and times are drawn per request, so that a
fault shows only where the data let it: wrong rounding in about one of five, a stale field in one of four, one error in a hundred.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

from strangler.domain.parity.answers import Answer
from strangler.domain.parity.compare import compare
from strangler.domain.parity.difference import shape
from strangler.domain.parity.rules import NO_RULES, Ruleset
from strangler.domain.parity.statistics import NOISE_SHARE, Finding, Outcomes, findings, slower

JSON = {"content-type": "application/json", "vary": "Accept, Cookie"}
HTML = {"content-type": "text/html; charset=utf-8"}
CENT = Decimal("0.01")

LIST = "GET /api/payments/"
DETAIL = "GET /api/payments/<int:pk>/"
REFUND = "GET /api/refunds/<uuid:pk>/"
METHODS = "GET /api/methods/"
SETTLEMENT = "GET /api/settlements/<str:day>/"
LEDGER = "GET /api/ledger/"
QUOTE = "GET /api/quotes/<str:currency>/"
RECEIPT = "GET /receipts/<int:pk>/"
TRAFFIC = {LIST: 22, DETAIL: 20, REFUND: 10, METHODS: 12, SETTLEMENT: 12, LEDGER: 9, QUOTE: 10, RECEIPT: 5}

FAULTS = {
    ("*", "status"): "1 % errors",
    (LIST, "body $.results"): "wrong order",
    (DETAIL, "body $.fee"): "wrong rounding",
    (REFUND, "body $.reason"): "missing field",
    (METHODS, "body $[*].state"): "stale field",
    (SETTLEMENT, "latency"): "slow endpoint",
    (LEDGER, "body $.entries[*].at"): "different timestamps",
}
NONDETERMINISTIC = {"body $.quote_id", "body $.estimate", "body $.served_by", "body $.hint"}


@dataclass
class Seen:
    """What was counted, as the workbench would."""

    endpoints: dict[str, Outcomes] = field(default_factory=dict)
    old_ms: dict[str, list[float]] = field(default_factory=dict)
    new_ms: dict[str, list[float]] = field(default_factory=dict)

    def found(self) -> list[Finding]:
        return findings(self.endpoints)

    def named(self) -> set[tuple[str, str]]:
        """Endpoint and field of every alarm."""
        slow = {
            (name, "latency") for name in self.old_ms if slower(self.old_ms[name], self.new_ms[name], len(self.old_ms)).slower
        }
        return slow | {(one.endpoint, one.field) for one in self.found()}


def answer(body: Any, headers: dict[str, str] = JSON, status: int = 200, ms: float = 0.0) -> Answer:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer.of(status, headers, content, ms)


class ParallelRun:
    """Draws requests by ``seed``. ``faults``: whether the service has them; its latency and the owner's are log-normal."""

    def __init__(self, seed: int, *, faults: bool = True, noise_share: float = NOISE_SHARE, rules: Ruleset = NO_RULES) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.noise_share = noise_share
        self.rules = rules
        self.seen = Seen()

    def sample(self, count: int) -> Seen:
        names, weights = list(TRAFFIC), list(TRAFFIC.values())
        for endpoint in self.random.choices(names, weights, k=count):
            self.request(endpoint)
        return self.seen

    def request(self, endpoint: str) -> None:
        facts = self.random.getrandbits(64)
        old, new = self.owner(endpoint, facts), self.service(endpoint, facts)
        outcomes = self.seen.endpoints.setdefault(endpoint, Outcomes())
        outcomes.samples[shape(compare(old, new, self.rules))] += 1
        outcomes.old_errors += old.status >= 500 > new.status
        outcomes.new_errors += new.status >= 500 > old.status
        if self.random.random() < self.noise_share:
            outcomes.noise[shape(compare(old, self.owner(endpoint, facts), self.rules))] += 1
        self.seen.old_ms.setdefault(endpoint, []).append(old.ms)
        self.seen.new_ms.setdefault(endpoint, []).append(new.ms)

    def latency(self, factor: float = 1.0) -> float:
        return factor * self.random.lognormvariate(3.0, 0.5)

    def owner(self, endpoint: str, facts: int) -> Answer:
        body, headers = self.body(endpoint, facts, False)
        return answer(body, headers, ms=self.latency())

    def service(self, endpoint: str, facts: int) -> Answer:
        slow = self.faults and endpoint == SETTLEMENT
        if self.faults and self.random.random() < 0.01:
            return answer("<h1>Server Error (500)</h1>", HTML, 500, self.latency())
        body, headers = self.body(endpoint, facts, self.faults)
        return answer(body, headers, ms=self.latency(1.8 if slow else 1.0))

    def body(self, endpoint: str, facts: int, faulty: bool) -> tuple[Any, dict[str, str]]:
        if endpoint == RECEIPT:
            return self.receipt(random.Random(facts)), HTML
        if endpoint == QUOTE:
            return self.quote(random.Random(facts)), JSON
        return BODIES[endpoint](random.Random(facts), faulty), JSON

    def quote(self, data: random.Random) -> dict[str, Any]:
        """Differs from itself: always, in three of ten, between two machines, and in one of a hundred."""
        return {
            "currency": data.choice(["EUR", "USD"]),
            "rate": f"{data.uniform(0.5, 2):.4f}",
            "quote_id": f"{self.random.getrandbits(128):032x}",
            "estimate": 3 if self.random.random() < 0.7 else 4,
            "served_by": self.random.choice(["a", "b"]),
            "hint": None if self.random.random() < 0.01 else "none",
        }

    def receipt(self, data: random.Random) -> str:
        token = "".join(self.random.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789", k=64))
        return (
            f'<form action="/pay/"><input type="hidden" name="csrfmiddlewaretoken" value="{token}"></form>'
            f"<main id=receipt><h1>Receipt {data.randint(1, 999)}</h1><p>Paid {amount(data)} EUR</main>"
        )


def amount(data: random.Random) -> str:
    return f"{data.randint(100, 99999) / 100:.2f}"


def payments(data: random.Random, faulty: bool) -> dict[str, Any]:
    rows = [{"id": data.randint(1, 10**6), "amount": amount(data)} for _ in range(data.randint(0, 6))]
    return {"count": len(rows), "results": sorted(rows, key=lambda row: row["id"] if faulty else row["amount"])}


def payment(data: random.Random, faulty: bool) -> dict[str, Any]:
    paid = Decimal(amount(data))
    cut = data.random() < 0.4 and faulty
    fee = (paid * Decimal("0.015")).quantize(CENT, ROUND_DOWN if cut else ROUND_HALF_UP)
    return {"id": data.randint(1, 9999), "amount": str(paid), "fee": str(fee), "state": "captured"}


def refund(data: random.Random, faulty: bool) -> dict[str, Any]:
    body = {"id": data.randint(1, 9999), "amount": amount(data), "reason": data.choice(["", "damaged", "late"])}
    if faulty:
        del body["reason"]
    return body


def methods(data: random.Random, faulty: bool) -> list[dict[str, Any]]:
    """Somebody wrote a moment ago in one of four requests, and the service hasn't seen it."""
    written = data.random() < 1 / 4
    return [
        {"id": 1, "kind": "card", "state": "active"},
        {"id": 2, "kind": "iban", "state": "new" if written and not faulty else "old"},
    ]


def settlement(data: random.Random, faulty: bool) -> dict[str, Any]:
    return {"day": "2026-01-02", "lines": [amount(data) for _ in range(4)]}


def ledger(data: random.Random, faulty: bool) -> dict[str, Any]:
    zone = "+00:00" if faulty else "Z"
    return {"entries": [{"id": place, "at": f"2026-01-02T03:04:{data.randint(10, 59)}{zone}"} for place in range(2)]}


BODIES: dict[str, Callable[[random.Random, bool], Any]] = {
    LIST: payments,
    DETAIL: payment,
    REFUND: refund,
    METHODS: methods,
    SETTLEMENT: settlement,
    LEDGER: ledger,
}
