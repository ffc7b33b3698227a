"""What real workers leave in Redis of the reads that they served; the gates of the control plane are judged by it."""

from __future__ import annotations

import json
from collections.abc import Callable

from strangler.domain.channels import SERVED
from tests.integration.proxy.conftest import ControlPlane
from tests.integration.proxy.harness import Application, Proxy, response, until

Controlled = Callable[..., Proxy]


def told(control: ControlPlane) -> dict[str, list[int]]:
    """Requests and failures by side, of all workers and minutes."""
    found: dict[str, list[int]] = {}
    for key in control.redis.keys(f"{SERVED}*"):
        assert 0 < control.redis.ttl(key) <= 86_400
        for text in control.redis.hvals(key):
            for side, counts in json.loads(text)["contexts"].get("payments", {}).items():
                before = found.setdefault(side, [0, 0])
                found[side] = [before[0] + counts[0], before[1] + counts[1]]
    return found


def test_reads_of_a_canary_are_told_with_their_failures(
    control: ControlPlane, controlled: Controlled, service: Application
) -> None:
    service.handler = lambda asked: response(500 if asked.target.endswith("broken") else 200)
    proxy = controlled(percent=100)
    for path in ("1", "2", "broken"):
        proxy.ask("GET", f"/api/payments/{path}")
    proxy.ask("POST", "/api/payments/", b"x")
    until(lambda: told(control) == {"service": [3, 1]}, "the reads, and not the write")
    service.stop()
    assert proxy.ask("GET", "/api/payments/4").status == 200
    until(lambda: told(control) == {"service": [4, 2], "monolith": [1, 0]}, "the failure that the monolith made up for")


def test_a_worker_that_ends_tells_its_last_reads(control: ControlPlane, controlled: Controlled) -> None:
    proxy = controlled(percent=100)
    proxy.ask("GET", "/api/payments/1")
    proxy.stop()
    assert told(control) == {"service": [1, 0]}


def test_samples_that_redis_does_not_take_keep_nothing_else_from_being_told(
    control: ControlPlane, controlled: Controlled, monolith: Application, service: Application
) -> None:
    """Tables, acknowledgements of a hold and what was served go over the same line as the parallel run."""
    control.redis.set("strangler:parity", "of another type")
    service.handler = monolith.handler = lambda asked: response(200)
    proxy = controlled(stage="shadow", share=1.0)
    proxy.ask("GET", "/api/payments/1")
    until(lambda: told(control).get("monolith") == [1, 0], "the read, although its sample is refused")
