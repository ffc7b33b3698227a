"""Samples on their way to the engine: bounded, numbered, never half dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Lost

from strangler_proxy import reports
from strangler_proxy.answers import Answer
from strangler_proxy.metrics import Metrics
from strangler_proxy.reports import Reports


@pytest.fixture
def valkey(valkey_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey_url) as client:
        client.flushdb()
        yield client
        client.flushdb()


def flush(url: str, made: Reports, before: Callable[[Redis], None] = lambda client: None) -> None:
    async def run() -> None:
        async with Redis.from_url(url) as client:
            before(client)
            await made.flush(client, "w1")

    asyncio.run(run())


def sent(valkey: redis.Redis) -> list[tuple[int, dict[str, Any]]]:
    return [(int(fields[b"number"]), json.loads(fields[b"said"])) for _, fields in valkey.xrange("strangler:parity")]


def answer(body: bytes) -> Answer:
    return Answer(200, (), body[:8].ljust(8), len(body), body, 1.0)


def make() -> Reports:
    return Reports(Metrics(), wanted=True)


def test_batches_are_bounded_and_tell_what_they_hold(valkey: redis.Redis, valkey_url: str) -> None:
    made = make()
    for number in range(1500):
        made.add("payments", {"target": f"/{number}"})
    for number in range(6):
        made.add("payments", {"target": "/large"}, {"old": answer(b"%d" % number + b"x" * 250_000)})
    flush(valkey_url, made)
    told = sent(valkey)
    assert [number for number, _ in told] == list(range(1, len(told) + 1))
    assert [one["target"] for _, said in told for one in said["samples"]] == [f"/{n}" for n in range(1500)] + ["/large"] * 6
    assert max(len(said["samples"]) for _, said in told) <= 1000
    assert int(valkey.get("strangler:parity:bytes")) == sum(
        int(fields[b"size"]) for _, fields in valkey.xrange("strangler:parity")
    )
    assert not made.full


def test_what_redis_refuses_is_lost_whole_and_told_with_the_next(
    valkey: redis.Redis, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make()
    made.add("payments", {"outcome": "equal"})
    made.add("payments", {"outcome": "different"}, {"old": answer(b"x" * 1000)})
    made.lose("orders")
    with monkeypatch.context() as patch:
        patch.setattr(reports, "MOST_HELD", 1000)
        flush(valkey_url, made)
    assert sent(valkey) == []
    made.add("payments", {"outcome": "equal"})
    flush(valkey_url, made)
    ((number, said),) = sent(valkey)
    assert (number, said["lost"], len(said["samples"])) == (2, {"payments": 2, "orders": 1}, 1)


def test_a_batch_whose_fate_is_not_known_is_sent_again_with_its_number(valkey: redis.Redis, valkey_url: str) -> None:
    made = make()
    made.add("payments", {"target": "/1"})

    def lose_the_answer(client: Redis) -> None:
        evaluate = client.eval

        async def lost(*arguments: Any) -> None:
            await evaluate(*arguments)
            raise Lost

        client.eval = lost  # type: ignore[method-assign]

    with pytest.raises(Lost):
        flush(valkey_url, made, lose_the_answer)
    made.add("payments", {"target": "/2"})
    flush(valkey_url, made)
    assert [(number, [one["target"] for one in said["samples"]]) for number, said in sent(valkey)] == [
        (1, ["/1"]),
        (1, ["/1"]),
        (2, ["/2"]),
    ]


def test_without_room_no_sample_is_taken() -> None:
    made = make()
    for number in range(40):
        made.add("payments", {}, {"old": answer(b"%d" % number + b"x" * 256_000)})
    assert made.full
    for number in range(40):
        made.add("payments", {}, {"old": answer(b"%d" % number + b"x" * 256_000)})
    assert made._bytes <= 2 * 8 * 1024 * 1024
    assert made._metrics.shadow.values["payments", "dropped"] > 0
    alone = Reports(Metrics(), wanted=False)
    alone.add("payments", {}, {"old": answer(b"x")})
    assert not alone._samples
