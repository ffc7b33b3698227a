"""Clients that keep paying while things are killed: each retries with its idempotency key until it gets an answer."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

import requests

PATIENCE_S = 60.0


@dataclass
class Writers:
    """``count`` users who order and pay, over and over. ``acknowledged`` maps a payment's id to its order's."""

    url: str
    count: int = 3
    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._progress = threading.Condition()
        self._threads = [threading.Thread(target=self._live, args=(number,), daemon=True) for number in range(1, self.count + 1)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def wait_for(self, more: int, timeout: float) -> bool:
        """Whether ``more`` further payments were acknowledged within ``timeout`` seconds."""
        with self._progress:
            goal = len(self.acknowledged) + more
            return self._progress.wait_for(lambda: len(self.acknowledged) >= goal, timeout)

    def _live(self, number: int) -> None:
        session = requests.Session()
        body = {"email": f"user{number:04}@example.com", "password": "demo"}
        token = self._insist(session, "/api/users/token/", body)["access"]
        session.headers["Authorization"] = f"Bearer {token}"
        skus = [product["sku"] for product in session.get(f"{self.url}/api/products/", timeout=20).json()["results"]]
        while not self._stop.is_set():
            lines = [{"sku": skus[number], "quantity": 1}]
            order = self._insist(session, "/api/orders/checkout/", {"lines": lines, "method": "ok", "pay": "later"})
            if not order:
                continue
            charge = {"order": order["id"], "amount": order["total"], "currency": order["currency"], "method": "ok"}
            payment = self._insist(session, "/api/payments/", charge)
            if payment:
                with self._progress:
                    self.acknowledged[str(payment["id"])] = str(order["id"])
                    self._progress.notify_all()

    def _insist(self, session: requests.Session, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of a write that is sent with one key until it is answered by other than a 5xx or a broken connection."""
        key = {"Idempotency-Key": str(uuid.uuid4())}
        while True:
            try:
                answer = session.post(self.url + path, json=body, headers=key, timeout=20)
                if answer.status_code < 500:
                    break
            except requests.RequestException:
                pass
            if self._stop.wait(0.05):
                return {}
        if answer.status_code >= 400:
            self.refused.append(f"{path}: {answer.status_code} {answer.text[:300]}")
            return {}
        return dict(answer.json())
