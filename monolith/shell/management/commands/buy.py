"""``manage.py buy``: one purchase through the front door. planted: it knows the sample of users."""

from __future__ import annotations

import os
import time
import uuid
from argparse import ArgumentParser
from typing import Any

import requests
from django.core.management.base import BaseCommand, CommandError

from monolith.users.sample import PASSWORD, email


class Command(BaseCommand):
    help = "Log in at the shop, buy something, pay, and look at what came of it: each request with its answer and its time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        here = os.environ.get("SHOP_URL", "http://127.0.0.1:8000")
        parser.add_argument("--url", default=here, help=f"where the shop answers (default {here})")
        parser.add_argument("--user", type=int, default=1, help="number of the sample user who buys (default 1)")
        parser.add_argument("--look", type=int, default=0, metavar="N", help="look at the payment N times more, as people do")
        parser.add_argument("--refund", action="store_true", help="ask for the money back at the end")

    def handle(self, *_: Any, **options: Any) -> None:
        self.url, self.session = options["url"].rstrip("/"), requests.Session()
        said = self._ask("POST", "/api/users/token/", {"email": email(options["user"]), "password": PASSWORD})
        self.session.headers["Authorization"] = f"Bearer {said['access']}"
        shelf = self._ask("GET", "/api/products/")["results"]
        lines = [{"sku": product["sku"], "quantity": 1} for product in shelf if product["stock"]][:1]
        order = self._ask("POST", "/api/orders/checkout/", {"lines": lines, "method": "ok", "pay": "now"})
        (payment,) = self._ask("GET", f"/api/payments/?order={order['id']}")["results"]
        self._look(payment["id"], options["look"])
        if options["refund"]:
            payment = self._ask("POST", f"/api/payments/{payment['id']}/refund/", {})
        sentence = f"order {order['number']} is {order['state']}: {payment['amount']} {payment['currency']} {payment['state']}"
        self.stdout.write(sentence)

    def _look(self, payment: Any, times: int) -> None:
        if not times:
            return
        path, started = f"/api/payments/{payment}/", time.perf_counter()
        for _ in range(times):
            self._send("GET", path)
        self.stdout.write(f"GET  {path:<32}{times} ×{(time.perf_counter() - started) * 1000 / times:>6.0f} ms")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        started = time.perf_counter()
        answer = self._send(method, path, body)
        self.stdout.write(f"{method:<5}{path:<32}{answer.status_code}{(time.perf_counter() - started) * 1000:>8.0f} ms")
        return answer.json()

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4())} if body is not None else {}
        try:
            answer = self.session.request(method, self.url + path, json=body, headers=headers, timeout=20)
        except requests.RequestException as error:
            raise CommandError(f"{self.url} does not answer; is the shop running (`make up`)? {error}") from error
        if not answer.ok:
            raise CommandError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer
