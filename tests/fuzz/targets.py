"""What must hold whatever comes: functions of octets that raise ``AssertionError`` (or anything) where it does not."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Callable

import httptools

from strangler.domain import freshness, tokens
from strangler.domain.paths import is_reserved, normal
from strangler.domain.table import TableError
from strangler.domain.table import compile as compile_table
from strangler_proxy import forwarding, nested, visitor
from strangler_proxy.bodies import BadBody, Chunked
from strangler_proxy.hops import Hops
from strangler_proxy.request import Fields, Line, Request
from tests.corpus import cases, reader
from tests.corpus.reader import Message, Unreadable
from tests.corpus.recorder import LAST
from tests.corpus.wire import World

_OURS = "x-strangler-"
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [A-Z]")


class _Heard:
    """What httptools, on which others rest, makes of a message."""

    def __init__(self) -> None:
        self.fields: list[tuple[str, str]] = []
        self.body, self.complete = b"", 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete += 1


def _by_httptools(message: bytes) -> _Heard:
    heard = _Heard()
    httptools.HttpRequestParser(heard).feed_data(message)
    return heard


def _is_clean(message: Message) -> None:
    """Nothing of ours from outside, no line end within, one Host: of what an application gets."""
    for name, value in message.fields:
        assert not name.lower().replace("_", "-").startswith(_OURS), name
        assert not set(value) & set("\r\n\0"), name
    assert len(message.all("host")) == 1
    assert not is_reserved(message.target.partition("?")[0]), message.target


@functools.cache
def _world() -> World:
    return World()


# ---- targets ------------------------------------------------------------------------------------------------------------


def head(data: bytes) -> None:
    """A request's head: refused, or what is passed on is read alike by our slow reader and by httptools."""
    first, end, rest = data.partition(b"\r\n")
    block, ends, _ = (end + rest).partition(b"\r\n\r\n")
    if not ends:
        return
    request = Request(Line(first), Fields(block + b"\r\n"))
    if request.refused or is_reserved(request.path):
        return
    world = _world()
    request.request_id, request.forwarded = b"id", world.plane.hops.of_peer("127.0.0.1")
    table = world.plane.tables.current
    assert table is not None
    way, _ = world.plane.router.usual(table, world.plane.router.place(table, request), request, "127.0.0.1")
    sent = forwarding.request_head(request, way, world.plane, b"")
    read = reader.head(sent)
    assert read is not None
    assert read[2] == b""
    message = Message(read[0], read[1])
    _is_clean(message)
    assert (message.method, message.target) == (request.method, request.target.decode("latin-1"))
    _agree(sent, request)


def _agree(sent: bytes, request: Request) -> None:
    """Method and target are ours to judge: httptools knows some methods only."""
    fields = sent.partition(b"\r\n")[2]
    heard = _by_httptools(b"POST / HTTP/1.1\r\n" + fields.replace(b"Upgrade", b"Upgrades"))
    lines = fields.decode("latin-1").split("\r\n")[:-2]
    written = [
        (name, value.strip(" \t")) for name, _, value in (line.replace("Upgrade", "Upgrades").partition(":") for line in lines)
    ]
    assert heard.fields == written
    assert bool(heard.complete) is not request.fields.has_body


def body(data: bytes) -> None:
    """Chunks: the same in any pieces, and what is made of them anew is what others read."""
    if not data:
        return
    step, data = data[0] or 1, data[1:]
    whole = _decoded([data])
    assert _decoded([data[at : at + step] for at in range(0, len(data), step)]) == whole
    if whole is None or whole[3] is False:
        return
    content, trailers, behind, _ = whole
    again = b"".join(map(forwarding.frame, content)) + forwarding.last_chunk(trailers)
    start = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    heard = _by_httptools(start + again)
    assert (heard.body, heard.complete) == (b"".join(content), 1)
    read = reader.request(start + data)
    assert read is not None
    assert (read[0].body, read[1]) == (b"".join(content), behind)


def _decoded(parts: list[bytes]) -> tuple[list[bytes], bytes, bytes, bool] | None:
    """The content (in one piece), the trailers, what came behind, whether it was complete; None for what is refused."""
    chunks, into, rest = Chunked(), [], b""
    try:
        for part in parts:
            rest = rest + part if chunks.done else chunks.feed(part, into)
    except BadBody:
        return None
    content = b"".join(into)
    return [content] if content else [], chunks.trailers, rest, chunks.done


def request(data: bytes) -> None:
    """A client's connection: what applications get is clean, and the same when it comes in two pieces."""
    if not data:
        return
    place, said = data[0], data[1:]
    whole = _asked([said])
    for message in whole[0]:
        _is_clean(message)
    assert _asked([said[:place], said[place:]]) == whole
    assert sum(status >= 200 for status in whole[1]) <= len(whole[0]) + said.count(b"\r\n\r\n") + 1


def _asked(pieces: list[bytes]) -> tuple[list[Message], list[int], bool]:
    world = _world()
    world.forget()
    world.recorder.reset()
    client = world.client()
    for piece in [*pieces, LAST]:
        client.say(piece)
    statuses = [int(status) for status in _STATUS.findall(client.received)]
    messages = [_without_ids(message) for _, message in world.recorder.heard]
    assert not world.recorder.unreadable, world.recorder.unreadable
    assert not world.errors, world.errors
    return messages, statuses, client.closed


def _without_ids(message: Message) -> Message:
    kept = tuple(field for field in message.fields if field[0].lower() not in ("x-request-id", "traceparent"))
    return Message(message.line, kept, message.body, message.chunked, message.trailers)


def response(data: bytes) -> None:
    """An application's answer: the client gets one it can read, or sees that it is not whole; the same in two pieces."""
    if not data:
        return
    place, said = data[0], data[1:]
    for ends in ("", "close"):
        whole = _answered([said], ends)
        assert _answered([said[:place], said[place:]], ends) == whole


def _answered(pieces: list[bytes], ends: str) -> tuple[list[tuple[object, ...]], bool]:
    world = _world()
    world.forget()
    world.recorder.reset(b"".join(pieces), ends)
    world.cut = lambda said: [piece for piece in pieces if piece]
    client = world.client()
    client.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    world.cut = lambda said: [said]
    assert not world.errors, world.errors
    try:
        answers = cases.answers(client.received, ["GET"])
    except Unreadable:
        answers = []
        assert client.received.startswith(b"HTTP/1.1 ")
    for message in answers:
        assert not [name for name, _ in message.fields if name.lower().startswith(_OURS)]
    assert sum(message.status >= 200 for message in answers) <= 1
    return [(m.line, m.fields, m.body) for m in answers if m.status != 502], client.closed


def table(data: bytes) -> None:
    """A route table: taken or refused with its place named; a taken one decides about every path."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        compiled = compile_table(raw)
    except TableError:
        return
    for method, path in (("GET", "/"), ("POST", "/a"), ("PUT", "/b/c/"), ("FOO", "/c/7"), ("GET", "/%2e//..")):
        decision = compiled.decide(method, path, "user")
        assert decision.urls or decision.context is not None
        assert all(name in compiled.contexts for name in decision.met.writes)


def small(data: bytes) -> None:
    """Cookies, positions, tokens, passes, chains of hops and paths: never an error, and what is read is written alike."""
    text = data.decode("latin-1")
    visitor.cookie(data, b"sessionid")
    visitor.subject(data)
    for positions in (freshness.from_cookie(text), freshness.from_header(text)):
        assert freshness.from_cookie(freshness.to_cookie(positions)) == positions
        assert not set(freshness.to_cookie(positions)) & set('\r\n;, "')
    with contextlib.suppress(tokens.BadToken):
        tokens.verify("secret", text, audience="a", now=0.0)
    assert not nested.contexts(b"secret", data, 1_700_000_000.0)
    issued = nested.issue(b"secret", data[:128] or b"id", ("payments",), 1_700_000_000.0)
    assert nested.contexts(b"secret", issued, 1_700_000_000.0) == {"payments"}
    if "%" not in text:
        assert normal(normal(text)) == normal(text)
        assert is_reserved("/_strangler/" + text.replace(".", ""))
    if b"\r" not in data and b"\n" not in data:
        _, lines, _ = Hops(["127.0.0.0/8"], "http").behind("127.0.0.1", Fields(b"\r\nX-Forwarded-For: %b\r\nHost: a\r\n" % data))
        assert lines.count(b"\r\n") == 3


TARGETS: dict[str, Callable[[bytes], None]] = {
    "head": head,
    "body": body,
    "request": request,
    "response": response,
    "table": table,
    "small": small,
}
