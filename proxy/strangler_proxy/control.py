"""The line to the control plane, over Redis: tables and markers come in, acknowledgements and heart-beats go out.

The proxy serves without it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from strangler.domain.channels import ACKS, MARKERS, PROXIES, SERVED_S, TABLE
from strangler_proxy import cancelling, grammar
from strangler_proxy.access_log import event
from strangler_proxy.minutes import Minutes
from strangler_proxy.plane import Plane

BEAT = 1.0
_WITHIN = 2.0
_BACK_OFF = (0.05, 0.1, 0.2, 0.5, 1.0)
_TROUBLE = (RedisError, OSError, TimeoutError)


class Control:
    """``run`` never ends by itself. ``identity`` names this worker: ``host:pid:number:random``.

    ``predecessors``: the fields of workers whose writes this one counts on. They go when its own first report is there, so that
    whoever looks in between does not find nothing.
    """

    def __init__(self, plane: Plane, identity: str, predecessors: tuple[str, ...] = ()) -> None:
        self._plane, self.identity, self._predecessors = plane, identity, predecessors
        self._seen = b""
        self._minutes = Minutes(plane.metrics, identity)

    def report(self) -> dict[str, Any]:
        """What this worker acknowledges."""
        table = self._plane.tables.current
        return {
            "id": self.identity,
            "at": time.time(),
            "table": list(table.order) if table else None,
            "held": self._plane.holds.report(),
            "inflight_writes": {name: count for name, count in self._plane.holds.writes.counts.items() if count},
            "error": self._plane.tables.error,
        }

    async def run(self) -> None:
        failures = 0
        while True:
            redis = Redis.from_url(
                self._plane.settings.redis,
                client_name=f"strangler-proxy-{os.getpid()}",
                socket_connect_timeout=1.0,
                socket_keepalive=True,
            )
            try:
                await self._stay(redis)
            except Exception as error:
                if not isinstance(error, _TROUBLE):
                    self._plane.unexpected(error)
                if self._plane.credentials.redis is not None or not failures:
                    event("control.lost", reason=error)
                    failures = 0
            finally:
                self._plane.credentials.redis = self._plane.limiter.redis = None
                await _closed(redis)
            await asyncio.sleep(_BACK_OFF[min(failures, len(_BACK_OFF) - 1)])
            failures += 1

    async def _stay(self, redis: Redis) -> None:
        """Subscribes first and reads afterwards, so that nothing is missed in between."""
        pubsub = redis.pubsub(ignore_subscribe_messages=True)
        try:
            async with asyncio.timeout(_WITHIN):
                await pubsub.subscribe(TABLE, MARKERS)
                await self._poll(redis)
            self._plane.credentials.redis = self._plane.limiter.redis = redis
            self._plane.touched.set()
            works = (self._listen(redis, pubsub), self._acknowledge(redis), self._beat(redis), self._report(redis))
            tasks = [asyncio.create_task(work) for work in works]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await cancelling.end(tasks)
        finally:
            await _closed(pubsub)

    async def _listen(self, redis: Redis, pubsub: Any) -> None:
        async for message in pubsub.listen():
            if message["channel"] == MARKERS.encode():
                stream, _, marker = message["data"].rpartition(b" ")
                self._markers({stream: marker})
            else:
                await self._fetch_table(redis)

    async def _poll(self, redis: Redis) -> None:
        await self._fetch_table(redis)
        published: Any = await redis.hgetall(MARKERS)
        self._markers(published)

    def _markers(self, published: Mapping[bytes, bytes]) -> None:
        """Takes what are markers; anybody may have written there, and what makes no sense is read over."""
        found = (
            (stream.decode(errors="replace"), marker) for stream, marker in published.items() if grammar.NUMBER.fullmatch(marker)
        )
        self._plane.markers.update({stream: int(marker) for stream, marker in found if stream})

    async def _fetch_table(self, redis: Redis) -> None:
        text: Any = await redis.get(TABLE)
        if text is not None and text != self._seen:
            self._seen = text
            self._plane.tables.offer(text, keep=True)
            self._plane.touched.set()

    async def _acknowledge(self, redis: Redis) -> None:
        """At once on any change; changes that come together go together."""
        while True:
            await self._plane.touched.wait()
            self._plane.touched.clear()
            await self._send(redis)

    async def _beat(self, redis: Redis) -> None:
        while True:
            await asyncio.sleep(BEAT)
            async with asyncio.timeout(_WITHIN):
                await self._poll(redis)
            await self._send(redis)
            await self._tell_served(redis)

    async def _tell_served(self, redis: Redis) -> None:
        due = self._minutes.due(time.time())
        if due is None:
            return
        key, field, text = due
        pipe = redis.pipeline(transaction=False)
        pipe.hset(key, field, text)
        pipe.expire(key, int(SERVED_S))
        async with asyncio.timeout(_WITHIN):
            await pipe.execute()
        self._minutes.told()

    async def _send(self, redis: Redis) -> None:
        text = json.dumps(self.report())
        pipe = redis.pipeline(transaction=False)
        pipe.hset(PROXIES, self.identity, text)
        if self._predecessors:
            pipe.hdel(PROXIES, *self._predecessors)
        pipe.publish(ACKS, text)
        async with asyncio.timeout(_WITHIN):
            await pipe.execute()
        self._predecessors = ()

    async def _report(self, redis: Redis) -> None:
        """What the parallel run found. That it is not taken is no reason to lose the line; if that is lost, others see it."""
        while True:
            try:
                await self._plane.reports.run(redis, self.identity)
            except _TROUBLE as error:
                event("control.samples_wait", reason=error)
                await asyncio.sleep(BEAT)

    async def leave(self) -> None:
        """A worker that stops cleanly takes its field along, so that nobody waits for its acknowledgement."""
        redis = Redis.from_url(self._plane.settings.redis, socket_connect_timeout=0.5, socket_timeout=0.5)
        try:
            await self._tell_served(redis)
            await redis.hdel(PROXIES, self.identity)
            await self._plane.reports.flush(redis, self.identity)
        except _TROUBLE as error:
            event("control.not_left", reason=error)
        finally:
            await _closed(redis)


async def _closed(resource: Any) -> None:
    try:
        await resource.aclose()
    except _TROUBLE:
        return
