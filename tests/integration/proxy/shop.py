"""An application for real clients: it says back what it was asked, and answers in all the ways that clients meet."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
from typing import Any

from tests.integration.proxy.harness import Application, Asked, response

PAGE = b"0123456789" * 1000
COOKIES = [
    ("Set-Cookie", "a=1; Path=/"),
    ("Set-Cookie", "b=2; Path=/; HttpOnly"),
    ("Set-Cookie", "c=3; Expires=Wed, 01 Jan 2098 00:00:00 GMT"),
]
EVENTS = [b"event: tick\ndata: %d\n\n" % number for number in range(5)]


def said(asked: Asked) -> bytes:
    """What the application got, as JSON."""
    told = {
        "method": asked.method,
        "target": asked.target,
        "length": len(asked.body),
        "digest": hashlib.sha256(asked.body).hexdigest(),
        "cookie": asked.get("cookie"),
        "expect": asked.get("expect"),
        "chunked": asked.get("transfer-encoding"),
        "connection": asked.connection,
    }
    return json.dumps(told).encode()


def handle(asked: Asked) -> bytes:
    match asked.target.partition("?")[0]:
        case "/page":
            return page(asked)
        case "/zipped":
            return response(body=gzip.compress(PAGE), headers=[("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")])
        case "/chunked":
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2710\r\n" + PAGE + b"\r\n0\r\n\r\n"
        case "/to-the-end":
            return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PAGE
        case "/cookies":
            return response(headers=COOKIES)
        case "/moved":
            return response(302, headers=[("Location", "/page")])
        case "/events":
            return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + b"".join(EVENTS)
        case "/favicon.ico":
            return response(204)
        case "/site":
            return response(body=SITE, headers=[("Content-Type", "text/html; charset=utf-8"), *COOKIES])
    return response(body=said(asked), headers=[("Content-Type", "application/json")])


def page(asked: Asked) -> bytes:
    first, _, last = (asked.get("range") or "").removeprefix("bytes=").partition("-")
    if not first:
        answer = response(body=PAGE, headers=[("Accept-Ranges", "bytes"), ("ETag", '"page"')])
        if asked.get("if-none-match") == '"page"':
            return b'HTTP/1.1 304 Not Modified\r\nETag: "page"\r\n\r\n'
        return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if asked.method == "HEAD" else answer
    part = PAGE[int(first) : int(last) + 1]
    return response(206, part, [("Content-Range", f"bytes {first}-{last}/{len(PAGE)}")])


SITE = b"""<!doctype html><title>shop</title><script>
const seen = {events: [], talk: []};
async function all() {
  await new Promise(done => {
    const stream = new EventSource("/events");
    stream.addEventListener("tick", event => {
      seen.events.push(event.data);
      if (seen.events.length === 5) { stream.close(); done(); }
    });
  });
  const body = new Uint8Array(3000000).fill(7);
  seen.upload = await (await fetch("/upload", {method: "POST", body})).json();
  const form = new FormData(); form.append("file", new Blob([body]), "a.bin");
  seen.form = await (await fetch("/form", {method: "POST", body: form})).json();
  seen.page = (await (await fetch("/chunked")).text()).length;
  seen.zipped = (await (await fetch("/zipped")).text()).length;
  seen.many = (await Promise.all([...Array(30).keys()].map(n => fetch("/n" + n).then(r => r.json())))).map(r => r.target);
  seen.cookies = document.cookie;
  const socket = new WebSocket(`ws://${location.host}/api/payments/talk`, ["shop.v1"]);
  await new Promise((done, failed) => {
    socket.onerror = failed;
    socket.onopen = () => { seen.protocol = socket.protocol; socket.send("hello"); socket.send("\xc3\xa4".repeat(100000)); };
    socket.onmessage = event => { seen.talk.push(event.data.length); if (seen.talk.length === 2) socket.close(4001, "enough"); };
    socket.onclose = event => { seen.closed = [event.code, event.reason]; done(); };
  });
  return seen;
}
</script>"""


def events_one_by_one(go: Any) -> Any:
    """A stream that sends its next event only when ``go`` was released once more."""

    def stream(asked: Asked, one: socket.socket, reader: Any) -> bool:
        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in EVENTS:
            assert go.acquire(timeout=10)
            one.sendall(b"%x\r\n%b\r\n" % (len(event), event))
        one.sendall(b"0\r\n\r\n")
        return True

    return stream


def open_shop() -> Application:
    application = Application("shop")
    application.handler = handle
    return application
