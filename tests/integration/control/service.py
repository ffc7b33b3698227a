"""A service of payments behind real HTTP: the contract's ownership and health by P16, an empty feed, and no rows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from strangler.domain import tokens


class FakeService:
    """Use as a context manager. ``before`` is called with (method, path) ahead of each answer; it may wait or raise ``Gone``."""

    class Gone(Exception):
        """The connection breaks without an answer."""

    def __init__(self, secret: str, context: str = "payments") -> None:
        self.secret, self.context = secret, context
        self.row: dict[str, Any] = {"context": context, "epoch": 0, "owner": "monolith", "operation": ""}
        self.history: list[tuple[int, str]] = []
        self.next_ids: dict[str, int] = {}
        self.marker = 0
        self.feed: list[dict[str, Any]] = []  # CloudEvents, the first at position 1
        self.asked: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> FakeService:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def die(self) -> None:
        """From now on every connection breaks."""

        def gone(*_: object) -> None:
            raise FakeService.Gone

        self.before = gone

    def answer(self, method: str, path: str, body: bytes, after: int = 0) -> tuple[int, Any]:
        with self._lock:
            self.marker += 1
            self.asked.append((method, path))
            match method, path:
                case "GET", "/readyz":
                    return 200, {"status": "ready"}
                case "GET", "/_strangler/ownership":
                    return 200, self._said()
                case "PUT", "/_strangler/ownership":
                    return self._put(json.loads(body))
                case "POST", "/_strangler/changes":
                    return 200, {
                        "applied": [event["subject"] for event in json.loads(body)],
                        "skipped": [],
                        "waits": [],
                        "poison": [],
                    }
                case "GET", "/_strangler/changes":
                    return 200, {"events": self.feed[after:], "next": max(after, len(self.feed)), "marker": self.marker}
                case _, "/_strangler/digest":
                    return 200, []
                case _:
                    return 404, {"title": "Not found"}

    def _put(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        """P16."""
        new = {name: wanted[name] for name in ("context", "epoch", "owner", "operation")}
        onward = self.row["owner"] == "none" and (new["epoch"], new["operation"]) == (self.row["epoch"], self.row["operation"])
        if new != self.row and new["epoch"] <= self.row["epoch"] and not onward:
            return 409, {"title": "Stale epoch", "detail": f"{self.context} is at epoch {self.row['epoch']}", **self.row}
        if new != self.row:
            self.history.append((new["epoch"], new["owner"]))
        self.row = new
        self.next_ids.update(wanted.get("next_ids") or {})
        return 200, self._said()

    def _said(self) -> dict[str, Any]:
        return {**self.row, "next_ids": self.next_ids, "marker": self.marker}


def _handler(service: FakeService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, after = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query).get("after", ["0"])[0]
            try:
                service.before(self.command, path)
                tokens.verify(service.secret, self.headers["Authorization"][7:], audience=service.context, now=time.time())
                status, said = service.answer(self.command, path, body, int(after))
                service.after(self.command, path)
            except FakeService.Gone:
                self.close_connection = True
                return
            text = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = _serve

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler
