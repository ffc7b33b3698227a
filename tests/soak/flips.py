"""The control plane of a soak: payments goes through all stages and back, by the steps of PROTOCOL's cut-over."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from typing import Any

from strangler.domain.channels import MARKERS, PROXIES, TABLE
from tests.soak.estate import FIRST_BYTE, SIDES, Estate
from tests.soak.journal import Journal

STAGES = (("mirror", 0), ("shadow", 0), ("canary", 10), ("canary", 50), ("canary", 100), ("live", 0))
HOLD_MS = 1000 * (FIRST_BYTE + 8)
PATIENCE = FIRST_BYTE + 5


class Flips:
    """``quiet`` is held while a context changes hands: then no application is killed: whose fault would it be?."""

    def __init__(self, estate: Estate, journal: Journal) -> None:
        self._estate, self._journal = estate, journal
        self._version = self._operation = self._marker = 0
        self.stage, self.percent, self.epoch = "monolith", 0, 0
        self.quiet = asyncio.Lock()
        journal.owners[0] = "monolith"

    async def run(self, pause: float) -> None:
        """Up all stages and down again, until cancelled."""
        ways = itertools.cycle([*STAGES, *reversed(STAGES[:-1]), ("monolith", 0)])
        for stage, percent in ways:
            if random.random() < 0.2:
                await asyncio.to_thread(self._publish_rubbish)
            if (stage == "live") != (self.stage == "live"):
                async with self.quiet:
                    await self._change_hands(stage, percent)
            else:
                self.stage, self.percent = stage, percent
                await self.publish()
            self._journal.flips[stage] += 1
            await asyncio.sleep(random.uniform(0.5, 1.5) * pause)

    async def mark(self) -> None:
        """The streams go on, sometimes ahead of the writes and sometimes behind."""
        while True:
            self._marker += random.randrange(3)
            for stream in ("payments", "payments-reverse"):
                await asyncio.to_thread(self._mark, stream, self._marker)
            await asyncio.sleep(0.2)

    def _mark(self, stream: str, marker: int) -> None:
        self._estate.redis.hset(MARKERS, stream, marker)
        self._estate.redis.publish(MARKERS, f"{stream} {marker}")

    # -- tables ----------------------------------------------------------------------------------------------------------

    async def publish(self, hold: dict[str, Any] | None = None) -> None:
        """A new table; returns when every worker has it."""
        self._version += 1
        await asyncio.to_thread(self._push, json.dumps(self._table(hold)))
        await self._everywhere(lambda report: report["table"] == [1, self._version], f"table {self._version}")

    def _push(self, text: str) -> None:
        self._estate.redis.set(TABLE, text)
        self._estate.redis.publish(TABLE, f"1.{self._version}")

    def _publish_rubbish(self) -> None:
        """What no proxy may take: half a table, or one with a stage that does not exist."""
        text = json.dumps(self._table(None))
        self._push(random.choice([text[: len(text) // 2], text.replace(f'"{self.stage}"', '"flying"'), "", "[]"]))

    def _table(self, hold: dict[str, Any] | None) -> dict[str, Any]:
        monolith, service = ([self._estate.url(side)] for side in SIDES)
        return {
            "generation": 1,
            "version": self._version,
            "default": {"targets": monolith},
            "contexts": {
                "orders": {"stage": "monolith", "epoch": 0, "targets": {"monolith": monolith, "service": []}},
                "payments": {
                    "stage": self.stage,
                    "percent": self.percent,
                    "salt": "soak",
                    "sticky": "user",
                    "epoch": self.epoch,
                    "owner": "service" if self.stage == "live" else "monolith",
                    "targets": {"monolith": monolith, "service": service},
                    "streams": {"mirror": "payments", "reverse": "payments-reverse"},
                    "shadow": {"share": 0.5},
                    "hold": hold,
                },
            },
            "routes": [
                {"match": {"prefix": "/api/payments"}, "access": "auto", "context": "payments"},
                {"match": {"prefix": "/api/orders"}, "access": "auto", "context": "orders"},
            ],
            "also": [{"match": {"path": "/api/orders/checkout"}, "context": "payments"}],
        }

    async def _everywhere(self, condition: Any, what: str) -> None:
        """Waits until every worker that lives reports so."""
        end = time.monotonic() + PATIENCE
        while True:
            reports = [json.loads(text) for text in await asyncio.to_thread(self._estate.redis.hvals, PROXIES)]
            if len(reports) >= self._estate.workers and all(map(condition, reports)):
                return
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: not all workers acknowledged within {PATIENCE:g} s: {reports}")
            await asyncio.sleep(0.005)

    # -- changing hands --------------------------------------------------------------------------------------------------

    async def _change_hands(self, stage: str, percent: int) -> None:
        """Hold, fence, hand over, flip. Now and then it is given up after the hold, as an engine does that ran out of time."""
        new = "service" if stage == "live" else "monolith"
        old = "monolith" if new == "service" else "service"
        self._operation += 1
        operation = f"op-{self._operation}"
        await self.publish(hold={"operation": operation, "for_ms": HOLD_MS})
        await self._everywhere(
            lambda report: report["held"].get("payments", {}).get("drained") and report["table"] == [1, self._version],
            f"{operation}: a drained hold",
        )
        self._journal.flips["held"] += 1
        if random.random() < 0.2:
            self._journal.flips["given up"] += 1
            await self.publish()
            await asyncio.sleep(0.2)
            await self._change_hands(stage, percent)
            return
        await self._own(old, "none", self.epoch + 1, operation)
        self.epoch += 2
        self._journal.owners[self.epoch - 1], self._journal.owners[self.epoch] = "none", new
        await self._own(new, new, self.epoch, operation)
        await self._own(old, new, self.epoch, operation)
        self.stage, self.percent = stage, percent
        await self.publish()

    async def _own(self, side: str, owner: str, epoch: int, operation: str) -> None:
        owned = {"context": "payments", "owner": owner, "epoch": epoch, "operation": operation}
        await asyncio.to_thread(self._estate.own, side, owned)
