"""What fuzzing starts from: the corpus, cut to what each target reads."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.corpus import cases
from tests.corpus.wire import SNAPSHOT

_LONGEST = 4000
_CONTEXT = {
    "stage": "canary",
    "percent": 10,
    "salt": "a",
    "sticky": "user",
    "epoch": 3,
    "targets": {"monolith": ["http://a:1"], "service": ["unix:/a"]},
}
_MATCH = [{"path": "/a"}, {"prefix": "/b/"}, {"pattern": "/c/{id}", "methods": ["GET"], "headers": {"X-A": "1"}}]
_TABLE = {
    **SNAPSHOT,
    "contexts": {"payments": {**_CONTEXT, "hold": {"operation": "o", "for_ms": 5}, "streams": {"mirror": "m", "copies": None}}},
    "routes": [{"match": match, "access": "auto", "context": "payments"} for match in _MATCH],
    "also": [{"match": {"path": "/d"}, "context": "payments"}],
}
_SMALL = (
    b"sessionid=abc; strangler_id=0123456789abcdef0123456789abcdef",
    b'a="b"; sessionid="x"; sessionidx=y',
    b"strangler_position=monolith.0.123~payments.7.88",
    b"monolith:0:123,payments:7:88",
    b"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2ln",
    b"abc~1700000000~payments+orders.0123456789abcdef0123456789abcdef",
    b"1.2.3.4, [::1]:80, unknown",
    b"/api/%2e%2e/_strangler;x/changes",
)


def of(target: str) -> Iterator[bytes]:
    """The seeds of one target, none of them long."""
    return (seed for seed in _all(target) if len(seed) <= _LONGEST)


def _all(target: str) -> Iterator[bytes]:
    match target:
        case "head":
            yield from (case.raw for case in cases.requests() if b"\r\n\r\n" in case.raw)
        case "body":
            yield from (b"\x05" + case.raw.partition(b"\r\n\r\n")[2] for case in cases.requests() if b"chunked" in case.raw)
        case "request":
            yield from (b"\x05" + case.raw for case in cases.requests())
        case "response":
            yield from (b"\x05" + case.raw for case in cases.responses())
        case "table":
            yield from (json.dumps(table).encode() for table in (SNAPSHOT, _TABLE))
        case "small":
            yield from _SMALL
        case _:
            raise ValueError(f"no seeds for {target}")
