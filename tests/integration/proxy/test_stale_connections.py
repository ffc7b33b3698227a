"""Applications that close kept connections at every possible moment: reads don't notice, and no write runs twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proxy.harness import Application, Asked, Proxy, raw, read_answer, response, table, until

Start = Callable[..., Proxy]


@pytest.mark.parametrize("client_first", [True, False])
def test_a_write_is_not_sent_on_a_connection_whose_end_has_come_but_was_not_seen(
    start: Start, monolith: Application, client_first: bool
) -> None:
    """The proxy is stopped while the application closes and the client writes: both arrive in one turn of its loop."""
    proxy = start(table(monolith))
    one = proxy.connect()
    reader = one.makefile("rb")
    for number in range(10):
        one.sendall(raw("GET", f"/warm/{number}"))
        assert read_answer(reader).status == 200
        os.kill(proxy.process.pid, signal.SIGSTOP)
        until(lambda: state(proxy) == "T", "the proxy's stop")
        for step in (client_first, not client_first):
            one.sendall(raw("POST", f"/write/{number}", b"x")) if step else monolith.drop()
        os.kill(proxy.process.pid, signal.SIGCONT)
        assert read_answer(reader).status == 200
    assert [asked.target for asked in monolith.asked if asked.method == "POST"] == [f"/write/{number}" for number in range(10)]
    assert proxy.metric("problems_total") == 0


def state(proxy: Proxy) -> str:
    return Path(f"/proc/{proxy.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


class Unreliable:
    """Ends connections after answers, a moment later, instead of answers, by FIN and by RST; but never a fresh one's first."""

    def __init__(self, application: Application, seed: int) -> None:
        self._random = random.Random(seed)
        self._served: Counter[int] = Counter()
        self.executed: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        application.streaming = self._serve

    def _serve(self, asked: Asked, one: socket.socket, reader: Any) -> bool:
        reused = self._served[asked.connection] > 0
        self._served[asked.connection] += 1
        how = self._random.choice(["keep", "keep", "after", "later", "unread", "read", "executed", "half"])
        if how in ("unread", "read", "executed", "half") and not reused:
            how = "keep"
        self.ends[how] += 1
        if how == "unread":
            return self._end(one)
        reader.read(int(asked.get("content-length") or 0))
        if how == "read":
            return self._end(one)
        self.executed[asked.target] += 1
        if how == "executed":
            return self._end(one)
        answer = response(body=asked.target.encode())
        if how == "half":
            one.sendall(answer[: self._random.randrange(1, len(answer))])
            return self._end(one)
        one.sendall(answer)
        if how == "after":
            return self._end(one)
        if how == "later":
            threading.Timer(self._random.random() * 0.004, self._end, (one,)).start()
        return True

    def _end(self, one: socket.socket) -> bool:
        with contextlib.suppress(OSError):  # the other way of ending was faster
            if self._random.random() < 0.5:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.shutdown(socket.SHUT_RDWR)
        return False


@pytest.mark.parametrize("seed", range(3))
def test_whenever_a_connection_ends_reads_are_answered_and_writes_run_once_at_most(
    start: Start, monolith: Application, seed: int
) -> None:
    application = Unreliable(monolith, seed)
    proxy = start(table(monolith, stage="monolith"))
    clients = [proxy.connect() for _ in range(4)]
    readers = [client.makefile("rb") for client in clients]
    outcomes: Counter[tuple[str, int]] = Counter()
    cut_off = 0
    for number in range(400):
        which = number % 4
        method, path = ("POST", f"/write/{number}") if number % 3 == 0 else ("GET", f"/read/{number}")
        clients[which].sendall(raw(method, path, b"body" if method == "POST" else None))
        try:
            answer = read_answer(readers[which], method)
        except (EOFError, ConnectionResetError, ValueError):  # half an answer had left: the client sees that it is half
            cut_off += 1
            clients[which] = proxy.connect()
            readers[which] = clients[which].makefile("rb")
            answer = None
        if answer is not None:
            outcomes[method, answer.status] += 1
            if answer.status == 200:
                assert answer.body == path.encode(), "the answer to another request"
                assert application.executed[path] >= 1
    assert set(outcomes) <= {("GET", 200), ("GET", 502), ("POST", 200), ("POST", 502)}
    assert max(count for path, count in application.executed.items() if path.startswith("/write/")) == 1
    halves = application.ends["half"]
    assert outcomes["GET", 502] + cut_off <= halves, "only what had begun to be answered can fail a read"
    gone = application.ends["unread"] + application.ends["read"] + application.ends["executed"] + halves
    assert outcomes["POST", 502] <= gone + application.ends["later"]
    assert outcomes["POST", 200] > 50
    assert proxy.metric("retries_total") > 0
