"""Load for a proxy: as much as goes (wrk), and a steady stream of requests that waits for no answer."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "de,en-US;q=0.7,en;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://shop.example/products/",
    "Cookie": "sessionid=8f14e45fceea167a5a36dedd4bea2543; csrftoken=c9f0f895fb98ab9159f51fd0297e236d",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Cache-Control": "no-cache",
    "DNT": "1",
}
CONNECTIONS = 32
POSTING = 'wrk.method = "POST"\nwrk.body = string.rep("x", {length})\n'
VARYING = """\
local number = 0
function request()
  number = number + 1
  wrk.headers["Referer"] = "https://shop.example/products/" .. number
  return wrk.format()
end
"""


@dataclass(frozen=True)
class Job:
    """One kind of request. ``body``: bytes that are posted. ``vary``: a field of request and answer is another one each time."""

    name: str
    path: str
    body: int = 0
    vary: bool = False
    seconds: float = 2.0


JOBS = (
    Job("GET 0.3 kB", "/api/orders/small"),
    Job("GET 64 kB", "/api/orders/64k.bin"),
    Job("GET 1 MB", "/api/orders/1m.bin"),
    Job("POST 0.3 kB", "/api/orders/small", body=300),
    Job("GET 0.3 kB, other heads each time", "/api/orders/varied", vary=True),
)
SMALL = JOBS[0]


@dataclass(frozen=True)
class Closed:
    """What a closed loop reached."""

    requests: int
    per_second: float
    failed: int


def saturate(port: int, job: Job, *, directory: Path, core: int) -> Closed:
    """wrk, one thread on ``core``, as fast as answers come."""
    script = directory / "load.lua"
    script.write_text(POSTING.format(length=job.body) if job.body else VARYING)
    headers = [word for name, value in BROWSER.items() for word in ("-H", f"{name}: {value}")]
    scripted = ["-s", str(script)] if job.body or job.vary else []
    duration = f"{max(1, round(job.seconds))}s"
    url = f"http://127.0.0.1:{port}{job.path}"
    argv = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{duration}", *headers, *scripted, url]
    return read(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout)


def read(said: str) -> Closed:
    """What wrk reports at its end."""
    done = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    socket = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    if not done or not rate:
        raise RuntimeError(f"wrk said what nobody understands:\n{said}")
    failed = (int(errors[1]) if errors else 0) + (sum(map(int, socket.groups())) if socket else 0)
    return Closed(int(done[1]), float(rate[1]), failed)


@dataclass
class _Client(asyncio.Protocol):
    """One connection; answers are told apart by their length, which is always the same."""

    length: int
    waiting: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    got: int = 0
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if not self.length:
            head = data.partition(b"\r\n\r\n")[0]
            sized = re.search(rb"content-length: (\d+)", head, re.I)
            assert sized, head
            self.length = len(head) + 4 + int(sized[1])
        self.got += len(data)
        while self.waiting and self.got >= self.length:
            self.got -= self.length
            self.times.append(time.perf_counter() - self.waiting.pop(0))


async def _steadily(port: int, rate: float, seconds: float) -> list[float]:
    loop = asyncio.get_running_loop()
    head = f"GET {SMALL.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    request = (head + "".join(f"{name}: {value}\r\n" for name, value in BROWSER.items()) + "\r\n").encode()
    clients = [(await loop.create_connection(lambda: _Client(0), "127.0.0.1", port))[1] for _ in range(CONNECTIONS)]
    for client in clients:  # how long an answer is
        client.waiting.append(time.perf_counter())
        assert client.transport
        client.transport.write(request)
    await _answered(clients)
    for client in clients:
        client.times.clear()
    began, sent = time.perf_counter(), 0
    while sent < rate * seconds:
        due = began + sent / rate
        if (ahead := due - time.perf_counter()) > 0.0002:
            await asyncio.sleep(ahead)
            continue
        client = min(clients, key=lambda each: len(each.waiting))
        client.waiting.append(time.perf_counter())
        assert client.transport
        client.transport.write(request)
        sent += 1
        if sent % 16 == 0:
            await asyncio.sleep(0)
    await _answered(clients)
    for client in clients:
        assert client.transport
        client.transport.close()
    return sorted(took for client in clients for took in client.times)


async def _answered(clients: list[_Client], within: float = 5.0) -> None:
    until = time.perf_counter() + within
    while any(client.waiting for client in clients) and time.perf_counter() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def steadily(port: int, *, rate: float = 2000.0, seconds: float = 4.0) -> tuple[float, float]:
    """p50 and p99 in milliseconds. Requests leave at their time whether or not earlier ones are answered: a stall counts for all
    that it delays.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        times = runner.run(_steadily(port, rate, seconds))
    if len(times) < rate * seconds:
        raise RuntimeError(f"{int(rate * seconds) - len(times)} of {int(rate * seconds)} requests were not answered")
    return 1000 * times[len(times) // 2], 1000 * times[int(len(times) * 0.99)]
