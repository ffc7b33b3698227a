"""What became of samples, on its way to the engine: in batches, through Redis, within bounds, never waited for by anybody.

The stream in Redis holds ``MOST_HELD`` bytes at most; what it refuses is counted as dropped, all of a batch, so that equal and
different ones are dropped alike and a rate over what is left stays true. For the same reason a worker that has no room takes no
sample at all. Each batch of a worker has a number, and the next is sent only when this one was taken or refused: whoever counts
them keeps the last number, and a batch that was sent twice is counted once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from strangler.domain.channels import PARITY, PARITY_BYTES
from strangler_proxy.answers import Answer
from strangler_proxy.metrics import Metrics

if TYPE_CHECKING:
    from redis.asyncio import Redis

MOST_HELD = 64 * 1024 * 1024
_EVERY, _WITHIN = 0.5, 2.0
_BATCH_BYTES, _BATCH_SAMPLES = 1024 * 1024, 1000
_ROOM_BYTES, _ROOM_SAMPLES = 8 * 1024 * 1024, 10_000
_USUAL = 300  # bytes of a sample without bodies, about

# KEYS: stream, its size in bytes. ARGV: size of this entry, limit, fields. 0: there is no room.
PUT = """
if tonumber(redis.call('GET', KEYS[2]) or '0') + tonumber(ARGV[1]) > tonumber(ARGV[2]) then return 0 end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
redis.call('INCRBY', KEYS[2], ARGV[1])
return 1
"""


class _Sample(NamedTuple):
    said: dict[str, Any]
    answers: Mapping[str, Answer]

    @property
    def size(self) -> int:
        return _USUAL + sum(len(answer.body or b"") + _USUAL for answer in self.answers.values())


class _Batch(NamedTuple):
    number: int
    contexts: Counter[str]
    fields: list[bytes | str]
    size: int


class Reports:
    """Of one worker. ``wanted``: whether there is a control plane at all."""

    def __init__(self, metrics: Metrics, *, wanted: bool) -> None:
        self._metrics, self.wanted = metrics, wanted
        self._samples: list[_Sample] = []
        self._bytes = self._number = 0
        self._lost: Counter[str] = Counter()
        self._pending: _Batch | None = None
        self._plenty = asyncio.Event()

    @property
    def full(self) -> bool:
        """No further sample is to be taken."""
        return self._bytes > _ROOM_BYTES or len(self._samples) >= _ROOM_SAMPLES

    def lose(self, context: str) -> None:
        """A sample that could not be taken."""
        self._metrics.shadow.add(context, "dropped")
        if self.wanted:
            self._lost[context] += 1

    def add(self, context: str, said: dict[str, Any], answers: Mapping[str, Answer] | None = None) -> None:
        if not self.wanted:
            return
        sample = _Sample({"context": context, **said}, answers or {})
        if self._bytes + sample.size > 2 * _ROOM_BYTES:
            self.lose(context)
            return
        self._samples.append(sample)
        self._bytes += sample.size
        if self._bytes > _BATCH_BYTES or len(self._samples) >= _BATCH_SAMPLES:
            self._plenty.set()

    async def run(self, redis: Redis, worker: str) -> None:
        """Sends what is there, twice a second or when it is much. Raises what Redis raises; the batch is kept then."""
        while True:
            try:
                async with asyncio.timeout(_EVERY):
                    await self._plenty.wait()
            except TimeoutError:
                pass
            self._plenty.clear()
            await self.flush(redis, worker)

    async def flush(self, redis: Redis, worker: str) -> None:
        while (batch := self._pending or self._take(worker)) is not None:
            self._pending = batch
            async with asyncio.timeout(_WITHIN):
                taken: Any = await redis.eval(PUT, 2, PARITY, PARITY_BYTES, batch.size, MOST_HELD, *batch.fields)
            self._pending = None
            if not taken:
                for context, count in batch.contexts.items():
                    self._lost[context] += count
                    self._metrics.shadow.values[context, "dropped"] += count
                return  # what is lost now is told with the next samples

    def _take(self, worker: str) -> _Batch | None:
        """The oldest samples, as many as go together."""
        count = size = 0
        for sample in self._samples[:_BATCH_SAMPLES]:
            if count and size + sample.size > _BATCH_BYTES:
                break
            count, size = count + 1, size + sample.size
        if not count and not self._lost:
            return None
        samples, self._samples = self._samples[:count], self._samples[count:]
        self._bytes -= size
        self._number += 1
        lost, self._lost = self._lost, Counter()
        bodies: dict[bytes, bytes] = {}
        said = [
            {**sample.said, "answers": _told(sample.answers, bodies)} if sample.answers else sample.said for sample in samples
        ]
        head = json.dumps({"at": time.time(), "lost": lost, "samples": said}, separators=(",", ":"))
        fields: list[bytes | str] = ["worker", worker, "number", str(self._number), "said", head]
        for digest, body in bodies.items():
            fields += [digest.hex(), body]
        held = sum(map(len, fields)) + _USUAL
        contexts = lost + Counter(sample.said["context"] for sample in samples)
        return _Batch(self._number, contexts, ["size", str(held), *fields], held)


def _told(answers: Mapping[str, Answer], bodies: dict[bytes, bytes]) -> dict[str, Any]:
    """The answers without their bodies, which go into ``bodies``, each once, by digest."""
    told = {}
    for name, answer in answers.items():
        if answer.body is not None:
            bodies[answer.digest] = answer.body
        told[name] = {
            "status": answer.status,
            "headers": dict(answer.headers),
            "digest": answer.digest.hex(),
            "length": answer.length,
            "kept": answer.body is not None,
        }
    return told
