"""Real servers, a real proxy process and raw sockets, for the proxy's tests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local.ports import Ports

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "a-service-token-for-tests-0123456789abcdef"
PATIENCE = 10.0


def until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Polls until ``condition`` is true and returns its value; fails by name after ``PATIENCE`` seconds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true within {PATIENCE:g} s"
        time.sleep(0.005)


# ---- applications -------------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """A request as the application got it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    connection: int = 0
    trailers: list[str] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if found else None


def response(status: int = 200, body: bytes = b"ok", headers: list[tuple[str, str]] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers or []), f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def not_executed(owner: str, epoch: int, context: str = "payments") -> bytes:
    """The 421 of PROTOCOL P20."""
    body = json.dumps({"context": context, "owner": owner, "epoch": epoch, "executed": False}).encode()
    return response(
        421, body, [("X-Strangler-Not-Executed", "1"), ("Content-Type", "application/problem+json"), ("Retry-After", "0")]
    )


Handler = Callable[[Asked], "bytes | None"]


class Application:
    """A threaded HTTP/1.1 server. ``handler`` answers with raw bytes; None closes the connection without an answer."""

    def __init__(self, name: str = "monolith") -> None:
        self.name = name
        self.asked: list[Asked] = []
        self.handler: Handler = lambda asked: response(body=self.name.encode())
        self.streaming: Callable[[Asked, socket.socket, Any], bool] | None = None
        self._changed = threading.Condition()
        self._sockets: list[socket.socket] = []
        self._listening: socket.socket | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def stop(self) -> None:
        if self._listening is not None:
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None
        self.drop()

    def drop(self) -> None:
        """Cuts every connection."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def wait(self, count: int) -> list[Asked]:
        """Waits until that many requests have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= count, PATIENCE), (
                f"{self.name} got {len(self.asked)} requests"
            )
            return list(self.asked)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                one, _ = listening.accept()
            except OSError:
                return
            self._sockets.append(one)
            threading.Thread(target=self._serve, args=(one, len(self._sockets)), daemon=True).start()

    def _serve(self, one: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError), one, one.makefile("rb") as reader:
            while self._exchange(one, reader, number):
                continue

    def _exchange(self, one: socket.socket, reader: Any, number: int) -> bool:
        line = reader.readline().decode("latin-1").strip()
        if not line:
            return False
        method, target, _ = line.split(" ")
        headers = []
        while (line := reader.readline().decode("latin-1").rstrip("\r\n")) != "":
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        asked = Asked(method, target, headers, connection=number)
        if self.streaming is not None:
            self._note(asked)
            return self.streaming(asked, one, reader)
        if asked.get("expect"):
            one.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        asked.body = self._body(asked, reader)
        self._note(asked)
        answer = self.handler(asked)
        if answer is None:
            return False
        one.sendall(answer)
        return b"connection: close" not in answer.partition(b"\r\n\r\n")[0].lower()

    def _note(self, asked: Asked) -> None:
        with self._changed:
            self.asked.append(asked)
            self._changed.notify_all()

    @staticmethod
    def _body(asked: Asked, reader: Any) -> bytes:
        if (asked.get("transfer-encoding") or "").lower() == "chunked":
            body = b""
            while size := int(reader.readline(), 16):
                body += reader.read(size)
                reader.readline()
            while (line := reader.readline()) not in (b"\r\n", b""):
                asked.trailers.append(line.decode("latin-1").strip())
            return body
        return bytes(reader.read(int(asked.get("content-length") or 0)))


# ---- tables -------------------------------------------------------------------------------------------------------------


def table(
    monolith: Application,
    service: Application | None = None,
    *,
    stage: str = "canary",
    percent: int = 100,
    epoch: int = 6,
    version: int = 1,
    generation: int = 1,
    hold: dict[str, Any] | None = None,
    share: float = 0.0,
    copies: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """A snapshot with one context, payments, at ``/api/payments``; checkout writes it too. No service: nothing has moved."""
    stage = stage if service else "monolith"
    return {
        "generation": generation,
        "version": version,
        "default": {"targets": [monolith.url]},
        "contexts": {
            "orders": {
                "stage": "monolith",
                "percent": 0,
                "salt": "o",
                "epoch": 0,
                "targets": {"monolith": [monolith.url], "service": []},
            },
            "payments": {
                "stage": stage,
                "percent": percent if stage == "canary" else 0,
                "salt": "salt",
                "sticky": "user",
                "epoch": epoch,
                "owner": "service" if stage in ("live", "retired") else "monolith",
                "targets": {"monolith": [monolith.url], "service": [service.url] if service else []},
                "streams": {"mirror": "payments", "copies": "payments-copies" if copies else None, "reverse": "payments-reverse"},
                "shadow": {"share": share},
                "hold": hold,
            },
        },
        "routes": [
            {"match": {"prefix": "/api/payments"}, "access": "auto", "context": "payments"},
            {"match": {"path": "/api/payments/search"}, "access": "read", "context": "payments"},
            {"match": {"path": "/pay/confirm"}, "access": "write", "context": "payments"},
            {"match": {"prefix": "/api/orders"}, "access": "auto", "context": "orders"},
        ],
        "also": [{"match": {"path": "/api/orders/checkout"}, "context": "payments"}],
        **more,
    }


# ---- the proxy ----------------------------------------------------------------------------------------------------------


def free_port() -> int:
    """Not one that the system would give to somebody's outgoing connection a moment later."""
    return Ports.free().proxy


@dataclass
class Proxy:
    """A running ``python -m strangler_proxy``."""

    process: subprocess.Popen[bytes]
    port: int
    operator: int
    log: Path
    connections: list[socket.socket] = field(default_factory=list)

    def connect(self) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        self.connections.append(one)
        return one

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own. Header names: underscores stand for dashes."""
        with self.connect() as one:
            one.sendall(raw(method, path, body, **headers))
            return read_answer(one.makefile("rb"), method)

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> socket.socket:
        """Sends a request and does not wait for the answer."""
        one = self.connect()
        one.sendall(raw(method, path, body, **headers))
        return one

    def operators(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.operator}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        total = 0.0
        for line in self.operators("/metrics")[1].decode().splitlines():
            if line.startswith(f"strangler_proxy_{name}{{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
                total += float(line.rpartition(" ")[2])
        return total

    def resident(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]

    def stop(self, how: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(PATIENCE)


def command(*arguments: str, limits: dict[str, float] | None = None) -> list[str]:
    """``limits``: other ones than the proxy's own, by their names in ``Limits``."""
    others = [f"--limit={name}={value:g}" for name, value in (limits or {}).items()]
    return [sys.executable, "-m", "strangler_proxy", *arguments, *others]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "PROXY_PORT", "OPERATOR_PORT")}
    return {**kept, "STRANGLER_SERVICE_TOKEN": TOKEN, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proxy'}"}


@contextlib.contextmanager
def running(directory: Path, *arguments: str, ready: bool = True, limits: dict[str, float] | None = None) -> Iterator[Proxy]:
    port, operator = free_port(), free_port()
    log = directory / f"proxy-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("--listen", f"127.0.0.1:{port}", "--operator", f"127.0.0.1:{operator}", *arguments, limits=limits),
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    proxy = Proxy(process, port, operator, log)
    try:
        until(lambda: _is_up(proxy, "/readyz" if ready else "/livez"), "the proxy's start")
        yield proxy
    finally:
        for one in proxy.connections:
            one.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def _is_up(proxy: Proxy, path: str) -> bool:
    assert proxy.process.poll() is None, proxy.log.read_text()
    try:
        return proxy.operators(path)[0] == 200
    except OSError:
        return False


def reset(one: socket.socket) -> None:
    """Leaves as a crash does: at once, and the other side is told."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


# ---- a client -----------------------------------------------------------------------------------------------------------


def raw(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if not any(name.lower() == "host" for name in headers):
        lines.insert(1, "Host: shop.example")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if found else None

    def cookie(self, name: str) -> str | None:
        for line in self.all("set-cookie"):
            key, _, value = line.partition(";")[0].partition("=")
            if key == name:
                return value
        return None


def read_answer(reader: Any, method: str = "GET") -> Answer:
    """One response from a stream, interim ones skipped. Raises ``EOFError`` if the connection ends before it."""
    line = reader.readline().decode("latin-1")
    if not line:
        raise EOFError("the connection ended before an answer")
    status = int(line.split(" ")[1])
    headers = []
    while (line := reader.readline().decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    if 100 <= status < 200:
        return read_answer(reader, method)
    answer = Answer(status, headers, b"")
    if method == "HEAD" or status in (204, 304):
        return answer
    if answer.get("transfer-encoding") == "chunked":
        while size := int(reader.readline(), 16):
            answer.body += reader.read(size)
            reader.readline()
        reader.readline()
    elif answer.get("content-length") is not None:
        length = int(answer.get("content-length") or 0)
        answer.body = reader.read(length)
        if len(answer.body) < length:
            raise EOFError("the connection ended in the middle of an answer")
    else:
        answer.body = reader.read()
    return answer
