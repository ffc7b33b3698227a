"""Applications, proxies and a control plane in miniature for the proxy's tests."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.proxy.harness import PATIENCE, Application, Proxy, running, table, until


@pytest.fixture
def monolith() -> Iterator[Application]:
    application = Application("monolith")
    yield application
    application.stop()


@pytest.fixture
def service() -> Iterator[Application]:
    application = Application("service")
    yield application
    application.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """Starts a proxy with a table in a file, with or without Redis; ends it with the test."""
    with contextlib.ExitStack() as stack:

        def starting(
            snapshot: dict[str, Any] | None = None, *arguments: str, ready: bool = True, limits: dict[str, float] | None = None
        ) -> Proxy:
            if snapshot is not None:
                file = tmp_path / "table.json"
                file.write_text(json.dumps(snapshot))
                arguments = ("--table", str(file), *arguments)
            return stack.enter_context(running(tmp_path, *arguments, ready=ready, limits=limits))

        yield starting


@pytest.fixture
def hurried(start: Callable[..., Proxy]) -> Callable[..., Proxy]:
    """The same with other limits: ``hurried(table(monolith), first_byte=0.5)``."""

    def starting(snapshot: dict[str, Any], *arguments: str, **limits: float) -> Proxy:
        return start(snapshot, *arguments, limits=limits)

    return starting


class ControlPlane:
    """Publishes as the engine does, and collects what proxies acknowledge."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = redis.Redis.from_url(url)
        self.redis.flushdb()
        self.acks: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._pubsub = self.redis.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(**{"strangler:acks": self._ack})
        self._thread = self._pubsub.run_in_thread(sleep_time=0.01, daemon=True)

    def _ack(self, message: dict[str, Any]) -> None:
        with self._changed:
            self.acks.append(json.loads(message["data"]))
            self._changed.notify_all()

    def publish(self, snapshot: dict[str, Any]) -> None:
        self.redis.set("strangler:table", json.dumps(snapshot))
        self.redis.publish("strangler:table", f"{snapshot['generation']}.{snapshot['version']}")

    def acknowledged(self, condition: Callable[[dict[str, Any]], Any], what: str = "an acknowledgement") -> dict[str, Any]:
        """The first acknowledgement (also an earlier one) that meets the condition."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(condition, self.acks)), PATIENCE), (
                f"{what} did not come: {self.acks[-3:]}"
            )
            return next(filter(condition, self.acks))

    def apply(self, snapshot: dict[str, Any]) -> None:
        """Publishes and waits until a proxy has it."""
        self.publish(snapshot)
        wanted = [snapshot["generation"], snapshot["version"]]
        self.acknowledged(lambda ack: ack["table"] == wanted, f"table {wanted}")

    def mark(self, stream: str, marker: int) -> None:
        self.redis.hset("strangler:markers", stream, marker)
        self.redis.publish("strangler:markers", f"{stream} {marker}")

    def proxies(self) -> list[dict[str, Any]]:
        return [json.loads(value) for value in self.redis.hvals("strangler:proxies")]

    def close(self) -> None:
        self._thread.stop()
        self._thread.join(PATIENCE)
        self._pubsub.close()
        self.redis.flushdb()
        self.redis.close()


@pytest.fixture
def control(valkey_url: str) -> Iterator[ControlPlane]:
    plane = ControlPlane(valkey_url)
    yield plane
    plane.close()


@pytest.fixture
def controlled(
    control: ControlPlane, start: Callable[..., Proxy], monolith: Application, service: Application
) -> Callable[..., Proxy]:
    """A proxy that follows the control plane, with the first table applied and acknowledged."""

    def starting(*arguments: str, **first: Any) -> Proxy:
        control.publish(table(monolith, service, **first))
        proxy = start(None, "--redis", control.url, *arguments)
        until(control.proxies, "the proxy's heart-beat")
        return proxy

    return starting
