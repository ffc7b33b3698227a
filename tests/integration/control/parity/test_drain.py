"""Each sample is counted once: two who drain, a drainer that dies, a batch sent twice, a Redis that falls back."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from django.db import connections
from django.utils import timezone

from strangler.control.parity import batches, drain, endpoints, examples, seen, tallies, window
from strangler.control.parity.models import ParityBucket, ParityPair
from strangler.control.tasks import tick
from tests.integration.control.conftest import valkey as valkey

ENDPOINT = "GET /api/payments/<int:payment_id>/"
TOML = """
[contexts.payments]
apps = ["monolith.payments"]
routes = [{ prefix = "/api/payments" }]
service = { urls = ["http://127.0.0.1:9"] }
"""
RULE = """
[[contexts.payments.parity]]
endpoint = "GET /api/payments/*"
field = "body $.at"
how = "ignore"
reason = "the service stamps it anew"
author = "ada"
"""


@pytest.fixture
def declared(transactional_db, valkey: redis.Redis, settings, tmp_path: Path) -> Path:
    file = tmp_path / "strangler.toml"
    file.write_text(TOML)
    settings.STRANGLER = {**settings.STRANGLER, "ESTATE": str(file)}
    return file


def answer(value: object, bodies: dict[bytes, bytes], status: int = 200) -> dict[str, object]:
    body = json.dumps(value).encode()
    digest = hashlib.sha256(body).hexdigest()
    bodies[digest.encode()] = body
    headers = {"content-type": "application/json"}
    return {"status": status, "headers": headers, "digest": digest, "length": len(body), "kept": True}


def sample(outcome: str = "equal", number: int = 17, at: float | None = None, **more: object) -> dict[str, object]:
    moment = time.time() if at is None else at
    return {
        "context": "payments",
        "method": "GET",
        "target": f"/api/payments/{number}/",
        "outcome": outcome,
        "at": moment,
        **more,
    }


def different(old: object, new: object, bodies: dict[bytes, bytes], **more: object) -> dict[str, object]:
    told = {"old": answer(old, bodies), "new": answer(new, bodies), "again": answer(old, bodies)}
    return sample("different", settled=True, ms=[1.0, 2.0], answers=told, **more)


def send(
    valkey: redis.Redis,
    number: int,
    *samples: object,
    worker: str = "w1",
    lost: dict[str, int] | None = None,
    bodies: dict[bytes, bytes] | None = None,
    at: float | None = None,
) -> None:
    """As ``strangler_proxy.reports`` does."""
    said = json.dumps({"at": time.time() if at is None else at, "lost": lost or {}, "samples": samples})
    fields = {"worker": worker, "number": number, "said": said, "size": 100, **(bodies or {})}
    valkey.xadd("strangler:parity", fields)
    valkey.incrby("strangler:parity:bytes", 100)


def counted() -> int:
    return sum(one.samples for one in seen.measured("payments").values())


def test_what_was_counted_is_taken_out(declared: Path, valkey: redis.Redis) -> None:
    send(valkey, 1, sample(ms=[2.0, 4.0]), sample(number=18, ms=[6.0, 8.0]), lost={"payments": 3, "unknown": 1})
    assert drain.drain() == 1
    found = seen.measured("payments")
    assert (found[ENDPOINT].samples, dict(found[endpoints.OTHER].unjudged)) == (2, {"dropped": 3})
    assert valkey.xlen("strangler:parity") == 0
    assert not valkey.exists("strangler:parity:bytes")
    told = seen.observations("payments")
    assert (told.samples, told.unjudged, told.rate, told.old_p50_ms, told.new_p95_ms) == (2, 3, 1.0, 2.0, 8.0)


def test_the_tick_drains(declared: Path, valkey: redis.Redis) -> None:
    send(valkey, 1, sample())
    tick()
    assert counted() == 1


def test_a_drainer_that_dies_between_commit_and_removal_counts_nothing_twice(
    declared: Path, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(valkey, 1, sample())
    send(valkey, 2, sample())

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batches, "take", die)
        with pytest.raises(KeyboardInterrupt):
            drain.drain()
    assert counted() == 1
    assert drain.drain() == 1
    assert counted() == 2


def test_one_that_dies_before_the_commit_has_counted_nothing(
    declared: Path, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(valkey, 1, sample(), lost={"payments": 1})
    add = tallies._add

    def die(key: tallies.Key, added: tallies.Added) -> None:
        if key[1] == endpoints.OTHER:
            raise KeyboardInterrupt
        add(key, added)

    with monkeypatch.context() as patch:
        patch.setattr(tallies, "_add", die)
        with pytest.raises(KeyboardInterrupt):
            drain.drain()
    assert counted() == 0
    assert drain.drain() == 1
    assert counted() == 1


def test_a_batch_that_a_proxy_sent_twice_counts_once(declared: Path, valkey: redis.Redis) -> None:
    """It did not hear that it was taken; the second one may come late."""
    for number in (1, 1, 2, 1):
        send(valkey, number, sample())
    send(valkey, 1, sample(), worker="w2")
    assert drain.drain() == 3
    assert counted() == 3


def test_a_redis_that_falls_back_brings_nothing_back(declared: Path, valkey: redis.Redis) -> None:
    send(valkey, 1, sample())
    send(valkey, 2, sample())
    before = valkey.dump("strangler:parity")
    drain.drain()
    valkey.restore("strangler:parity", 0, before, replace=True)
    assert drain.drain() == 0
    assert (counted(), valkey.xlen("strangler:parity")) == (2, 0)


def test_two_who_drain_at_once_count_each_batch_once(declared: Path, valkey: redis.Redis) -> None:
    bodies: dict[bytes, bytes] = {}
    for number in range(1, 9):
        for worker in ("w1", "w2", "w3"):
            pairs = [different({"at": 1}, {"at": 2}, bodies, number=place) for place in range(3)]
            send(valkey, number, sample(), *pairs, worker=worker, bodies=bodies)
    barrier = threading.Barrier(3)

    def run() -> int:
        try:
            barrier.wait()
            return drain.drain(30.0)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        done = [one.result() for one in [pool.submit(run) for _ in range(3)]]
    assert sum(done) == 24
    found = seen.measured("payments")[ENDPOINT]
    assert found.outcomes.samples == Counter({(): 24, ("body $.at",): 72})
    assert valkey.xlen("strangler:parity") == 0
    assert ParityPair.objects.count() <= 3 * examples.EXAMPLES


def test_rubbish_holds_nothing_up(declared: Path, valkey: redis.Redis) -> None:
    valkey.xadd("strangler:parity", {"worker": "w1", "said": "{"})
    bodies: dict[bytes, bytes] = {}
    send(valkey, 1, different({"a": "\x00"}, {"a": "\x00\x00"}, bodies, number=1), bodies=bodies)
    send(valkey, 2, {**sample(), "target": "/api/payments/%00%ff/"}, {**sample(), "target": "/\ud800"})
    send(valkey, 3, different({"a\x00": "b"}, {}, bodies), bodies=bodies)
    send(valkey, 4, sample())
    drain.drain(10.0)
    assert valkey.xlen("strangler:parity") == 0
    assert seen.measured("payments")[ENDPOINT].samples == 3


def test_a_reset_begins_anew_and_leaves_a_receipt(declared: Path, valkey: redis.Redis) -> None:
    bodies: dict[bytes, bytes] = {}
    send(valkey, 1, different({"at": 1}, {"at": 2}, bodies), bodies=bodies)
    drain.drain()
    assert seen.observations("payments").different == 1 or counted() == 1
    before = time.time() - 1
    receipt = window.reset("payments", who="ada", why="mended")
    assert (receipt.verb, receipt.who, receipt.why) == ("parity reset", "ada", "mended")
    assert counted() == 0
    send(valkey, 2, sample(at=before), sample(at=time.time() + 0.5), lost={"payments": 1}, at=before)
    drain.drain()
    assert counted() == 1
    assert seen.observations("payments").unjudged == 0


def test_a_changed_rule_begins_anew_for_its_endpoints_alone(declared: Path, valkey: redis.Redis, settings) -> None:
    bodies: dict[bytes, bytes] = {}
    listed = {**sample(), "target": "/api/payments"}
    send(valkey, 1, different({"at": 1}, {"at": 2}, bodies), listed, bodies=bodies)
    drain.drain()
    assert counted() == 2
    declared.write_text(TOML + RULE)
    settings.STRANGLER = {**settings.STRANGLER}
    assert counted() == 1
    send(valkey, 2, different({"at": 1}, {"at": 2}, bodies), bodies=bodies)
    drain.drain()
    found = seen.measured("payments")
    assert dict(found[ENDPOINT].outcomes.samples) == {(): 1}
    assert seen.observations("payments").rate == 1.0
    declared.write_text(TOML)
    settings.STRANGLER = {**settings.STRANGLER}
    assert counted() == 2


def test_an_old_fault_does_not_hold_for_ever(declared: Path, valkey: redis.Redis) -> None:
    send(valkey, 1, sample())
    drain.drain()
    ParityBucket.objects.update(start=timezone.now() - dt.timedelta(days=2))
    assert (counted(), seen.observations("payments", window_s=3 * 86400).samples) == (0, 1)


def test_ever_new_paths_do_not_fill_the_table(declared: Path, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "MOST", 3)
    send(valkey, 1, *({**sample(), "target": f"/nowhere/{letter}"} for letter in "abcdefgh"))
    drain.drain()
    found = seen.measured("payments")
    assert len(found) == 4
    assert found[endpoints.OTHER].samples == 5


def test_a_field_has_its_newest_few_pairs(declared: Path, valkey: redis.Redis) -> None:
    bodies: dict[bytes, bytes] = {}
    now = time.time()
    for number in range(1, 10):
        send(valkey, number, different({"at": number}, {"at": 0}, bodies, at=now - 7200 + number), bodies=bodies)
    drain.drain(10.0)
    assert ParityPair.objects.count() == examples.EXAMPLES
    send(valkey, 10, different({"at": 1}, {"at": 0}, bodies, at=now - 1), bodies=bodies)
    send(valkey, 11, different({"at": 1, "b": 1}, {"at": 0}, bodies, at=now), bodies=bodies)
    drain.drain(10.0)
    kept = [{one["field"] for one in row.differences} for row in ParityPair.objects.order_by("-at")]
    assert kept[0] == {"body $.at", "body $.b"}
    assert len(kept) == examples.EXAMPLES
