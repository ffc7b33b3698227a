"""Batches of samples as the proxies left them in Redis (``strangler_proxy.reports``), and taking them out once counted."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from strangler.domain.channels import PARITY, PARITY_BYTES
from strangler.domain.parity.answers import Answer

AT_ONCE = 4

# KEYS: stream, its size in bytes. ARGV: id and size of an entry. What was taken by somebody else already is not subtracted twice.
TAKE = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 1 then redis.call('DECRBY', KEYS[2], ARGV[2]) end
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[2]) end
"""


@dataclass(frozen=True)
class Sample:
    """``answers``: ``old``, ``new``, ``again`` (the owner's second), ``new later`` and ``old later`` (behind the watermark).

    ``ms``: old and new. ``settled``: whether it is sure that nothing was in flight; False: it could not be waited for, None:
    nobody could say. ``noise``: the owner was asked twice by chance, not because something differed.
    """

    context: str
    method: str
    target: str
    outcome: str
    at: dt.datetime
    ms: tuple[float, float] | None = None
    noise: bool = False
    settled: bool | None = None
    answers: Mapping[str, Answer] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """``lost``: samples by context that could not be taken or sent."""

    worker: str
    number: int
    at: dt.datetime
    samples: tuple[Sample, ...]
    lost: Mapping[str, int]


@dataclass(frozen=True)
class Entry:
    """An entry of the stream. ``batch`` is None where it makes no sense."""

    id: bytes
    size: int
    batch: Batch | None


def waiting(client: redis.Redis) -> list[Entry]:
    """The oldest few. Raises ``redis.RedisError``."""
    found = cast(list[tuple[bytes, dict[bytes, bytes]]], client.xrange(PARITY, count=AT_ONCE))
    return [Entry(id, _whole(fields.get(b"size", b"0")), parse(fields)) for id, fields in found]


def take(client: redis.Redis, entry: Entry) -> None:
    """Idempotent: what was taken is gone."""
    client.eval(TAKE, 2, PARITY, PARITY_BYTES, entry.id, entry.size)


def _whole(raw: bytes) -> int:
    return int(raw) if raw.isdigit() else 0


def parse(fields: Mapping[bytes, bytes]) -> Batch | None:
    """None for what a proxy would not say."""
    try:
        said = json.loads(fields[b"said"])
        return Batch(
            worker=fields[b"worker"].decode(),
            number=int(fields[b"number"]),
            at=_moment(said["at"]),
            samples=tuple(_sample(one, fields) for one in said["samples"]),
            lost={str(name): int(count) for name, count in said["lost"].items()},
        )
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError):
        return None


def _moment(raw: Any) -> dt.datetime:
    return dt.datetime.fromtimestamp(float(raw), dt.UTC)


def _sample(said: Mapping[str, Any], fields: Mapping[bytes, bytes]) -> Sample:
    ms = said.get("ms")
    times = (float(ms[0]), float(ms[1])) if ms else None
    answers = {}
    for name, told in said.get("answers", {}).items():
        took = times[0 if name.startswith("old") else 1] if times and name in ("old", "new") else 0.0
        answers[name] = _answer(told, fields, took)
    return Sample(
        context=str(said["context"]),
        method=str(said["method"]),
        target=str(said["target"]),
        outcome=str(said["outcome"]),
        at=_moment(said["at"]),
        ms=times,
        noise=said.get("noise") is True,
        settled=said.get("settled"),
        answers=answers,
    )


def _answer(told: Mapping[str, Any], fields: Mapping[bytes, bytes], ms: float) -> Answer:
    headers = {str(name): str(value) for name, value in told["headers"].items()}
    body = fields[str(told["digest"]).encode()] if told["kept"] else None
    digest = bytes.fromhex(told["digest"])
    return Answer(int(told["status"]), headers, headers.get("content-type", ""), body, digest, int(told["length"]), ms)
