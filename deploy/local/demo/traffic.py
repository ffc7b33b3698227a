"""Live traffic through the proxy: users who browse, buy, pay, ask for their money back, and look at what they did.

Arrivals are paced (open loop), so a slow estate shows as latency and as a missed rate, not as fewer questions. Every user
does one thing after another, as people do, and checks after each write that the next read shows it.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp

from deploy.local.demo.journal import Acknowledged, Journal

Scenario = Callable[["User"], Awaitable[None]]
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Mix:
    """How often each scenario is begun, relative to the others."""

    browse: int = 22
    storefront: int = 6
    own_pages: int = 7
    checkout: int = 14
    pay_later: int = 8
    refund: int = 16
    log_in: float = 0.3

    def __str__(self) -> str:
        parts = vars(self)
        total = sum(parts.values())
        return ", ".join(f"{name.replace('_', ' ')} {share / total:.0%}" for name, share in parts.items())


class Pacer:
    """Hands out slots, ``rate`` a second, evenly; who comes late takes the next one at once."""

    def __init__(self, rate: float) -> None:
        self.interval = 1 / rate
        self.next = 0.0

    async def slot(self) -> None:
        now = time.monotonic()
        self.next = max(self.next + self.interval, now - 0.5)
        if self.next > now:
            await asyncio.sleep(self.next - now)


@dataclass
class User:
    number: int
    token: str
    session: aiohttp.ClientSession
    pacer: Pacer
    journal: Journal
    skus: list[str]
    refundable: list[Acknowledged] = field(default_factory=list)
    random: random.Random = field(default_factory=random.Random)

    @asynccontextmanager
    async def request(self, method: str, path: str, kind: str, **more: Any) -> AsyncIterator[Any]:
        """One request of this user; yields the decoded answer, or None where it failed (and was noted as failed)."""
        payment_write = bool(more.pop("payment_write", False))
        key = more.pop("key", None)
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Idempotency-Key": key} if key else {})
        await self.pacer.slot()
        started = time.perf_counter()
        body: Any = None
        try:
            async with self.session.request(method, path, headers=headers, **more) as answer:
                raw = await answer.read()
                if answer.status >= 300:
                    self.journal.failed(f"{method} {path}", f"{answer.status} {raw[:300].decode(errors='replace')}")
                else:
                    body = await answer.json() if "json" in answer.content_type else raw
                    self.journal.answered(kind, (time.perf_counter() - started) * 1000, payment_write=payment_write)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.journal.failed(f"{method} {path}", f"{type(error).__name__}: {error}")
        yield body

    async def browse(self) -> None:
        page = self.random.randint(1, 20)
        async with self.request("GET", f"/api/products/?page={page}", "browse"):
            pass
        async with self.request("GET", f"/api/products/{self.random.choice(self.skus)}/", "browse"):
            pass

    async def storefront(self) -> None:
        async with self.request("GET", "/", "storefront"):
            pass

    async def own_pages(self) -> None:
        async with self.request("GET", "/api/orders/", "own pages"):
            pass
        async with self.request("GET", "/api/payments/", "own pages"):
            pass

    async def log_in(self) -> None:
        self.token = await token_of(self.session, self.number, self.journal, self.pacer) or self.token

    async def place_order(self, pay: str) -> dict[str, Any] | None:
        lines = [{"sku": sku, "quantity": 1} for sku in self.random.sample(self.skus, 2)]
        body = {"lines": lines, "method": "ok", "pay": pay}
        key = str(uuid.uuid4())
        path = "/api/orders/checkout/"
        async with self.request("POST", path, "checkout", json=body, key=key, payment_write=pay == "now") as order:
            if order:
                self.journal.orders[str(order["id"])] = pay
            return order

    async def checkout(self) -> None:
        order = await self.place_order("now")
        if not order:
            return
        path = f"/api/payments/?order={order['id']}"
        async with self.request("GET", path, "read after write") as page:
            if page is not None:
                captured = [payment for payment in page["results"] if payment["state"] == "captured"]
                self.journal.read_after_write(path, seen=len(captured) == 1, expected="one captured payment of a new order")
                for payment in captured:
                    self.remember(payment)
        await self.see_order_paid(order["id"])

    async def pay_later(self) -> None:
        order = await self.place_order("later")
        if not order:
            return
        body = {"order": order["id"], "amount": order["total"], "currency": order["currency"], "method": "ok"}
        key = str(uuid.uuid4())
        async with self.request("POST", "/api/payments/", "payment", json=body, key=key, payment_write=True) as payment:
            if not payment:
                return
            self.remember(payment)
        path = f"/api/payments/{payment['id']}/"
        async with self.request("GET", path, "read after write") as seen:
            if seen is not None:
                self.journal.read_after_write(path, seen=seen["state"] == "captured", expected="a payment just made")
        await self.see_order_paid(order["id"])

    async def see_order_paid(self, order: Any) -> None:
        path = f"/api/orders/{order}/"
        async with self.request("GET", path, "read after write") as seen:
            if seen is not None:
                self.journal.read_after_write(path, seen=seen["state"] == "paid", expected=f"order paid, saw {seen['state']}")

    async def refund(self) -> None:
        if not self.refundable:
            return await self.own_pages()
        payment = self.refundable.pop(self.random.randrange(len(self.refundable)))
        path = f"/api/payments/{payment.id}/"
        key = str(uuid.uuid4())
        async with self.request("POST", f"{path}refund/", "refund", json={}, key=key, payment_write=True) as answer:
            if not answer:
                return
            payment.state = "refunded"
            self.journal.acknowledged(payment)
        async with self.request("GET", path, "read after write") as seen:
            if seen is not None:
                self.journal.read_after_write(path, seen=seen["state"] == "refunded", expected="a refund just made")

    def remember(self, body: dict[str, Any]) -> None:
        payment = Acknowledged(
            id=str(body["id"]),
            order=str(body["order"]),
            key=str(body.get("idempotency_key", "")),
            amount=Decimal(body["amount"]),
            state=body["state"],
        )
        self.journal.acknowledged(payment)
        self.refundable.append(payment)


async def skus_of(session: aiohttp.ClientSession, page: int) -> list[str]:
    async with session.get(f"/api/products/?page={page}") as answer:
        return [str(product["sku"]) for product in (await answer.json())["results"]]


async def token_of(session: aiohttp.ClientSession, number: int, journal: Journal, pacer: Pacer) -> str:
    await pacer.slot()
    credentials = {"email": f"user{number:04}@example.com", "password": "demo"}
    started = time.perf_counter()
    try:
        async with session.post("/api/users/token/", json=credentials) as answer:
            if answer.status == 200:
                journal.answered("log in", (time.perf_counter() - started) * 1000, payment_write=False)
                return str((await answer.json())["access"])
            journal.failed("POST /api/users/token/", f"{answer.status}")
    except (aiohttp.ClientError, TimeoutError) as error:
        journal.failed("POST /api/users/token/", f"{type(error).__name__}: {error}")
    return ""


class Traffic:
    """Bounded load from a thread of its own: ``with Traffic(url, journal, rate=120, users=24): …``."""

    def __init__(
        self, url: str, journal: Journal, *, rate: float, users: int, limit_s: float = 600, mix: Mix | None = None
    ) -> None:
        self.url, self.journal, self.rate, self.users, self.limit_s = url, journal, rate, users, limit_s
        self.mix = mix or Mix()
        self.started = threading.Event()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="traffic", daemon=True)

    def __enter__(self) -> Traffic:
        self._thread.start()
        self.started.wait(60)
        if self._error:
            raise RuntimeError("the traffic could not start") from self._error
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Lets each user finish what they do, so that every write is checked."""
        self._stop.set()
        self._thread.join(TIMEOUT_S * 3)

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self._error = error
        finally:
            self.started.set()

    async def _run(self) -> None:
        pacer = Pacer(self.rate)
        connector = aiohttp.TCPConnector(limit=self.users * 2)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        jar = aiohttp.DummyCookieJar()  # API clients: known by their credential alone
        async with aiohttp.ClientSession(self.url, connector=connector, timeout=timeout, cookie_jar=jar) as session:
            tokens = [await token_of(session, number, self.journal, pacer) for number in range(1, self.users + 1)]
            skus = [sku for page in range(1, 6) for sku in await skus_of(session, page)]
            users = [
                User(number, token, session, pacer, self.journal, skus, random=random.Random(number))
                for number, token in enumerate(tokens, 1)
            ]
            self.started.set()
            await asyncio.gather(*(self._live(user) for user in users))

    async def _live(self, user: User) -> None:
        names, weights = list(vars(self.mix)), list(vars(self.mix).values())
        end = time.monotonic() + self.limit_s
        while not self._stop.is_set() and time.monotonic() < end:
            await getattr(user, user.random.choices(names, weights)[0])()
