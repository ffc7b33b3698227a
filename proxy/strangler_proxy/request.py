"""The head of one request, as the parser hands it over: what passes on, what the proxy itself looks at, what is refused."""

from __future__ import annotations

from urllib.parse import urlsplit

from strangler_proxy import headers
from strangler_proxy.headers import (
    AUTHORIZATION,
    CONNECTION,
    COOKIE,
    ENCODING,
    EXPECT,
    HOST,
    LENGTH,
    NESTED,
    OURS,
    PASS,
    REQUEST_FIELDS,
    REQUEST_ID,
    TRACE,
)

IDEMPOTENT_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Request:
    """Filled by parser callbacks; complete after ``finish``. ``refused`` then says in words why, or is empty."""

    __slots__ = (
        "authorization",
        "chunked",
        "connection",
        "cookie",
        "expects_continue",
        "forwarded",
        "host",
        "hosts",
        "http11",
        "keep_alive",
        "length",
        "lines",
        "method",
        "nested",
        "path",
        "refused",
        "request_id",
        "target",
        "trace",
    )

    def __init__(self) -> None:
        self.method = self.path = ""
        self.target = b""
        self.lines: list[bytes] = []
        self.host = self.cookie = self.authorization = self.request_id = self.trace = self.nested = self.connection = b""
        self.forwarded = b""
        self.hosts = 0
        self.length = -1
        self.chunked = self.expects_continue = False
        self.http11 = self.keep_alive = True
        self.refused = ""

    def field(self, name: bytes, value: bytes) -> None:
        """Files one header field."""
        lower = name.lower()
        kind = REQUEST_FIELDS.get(lower)
        if kind is None:
            kind = headers.unlisted_field(lower) if b"_" in lower or lower.startswith(OURS) else PASS
            if kind == PASS:
                self.lines.append(b"".join((name, b": ", value, b"\r\n")))
                return
        if kind == HOST:
            self.hosts += 1
            self.host = value.strip()
            self.lines.append(b"%b: %b\r\n" % (name, self.host))
        elif kind == COOKIE:
            self.cookie = b"; ".join((self.cookie, value)) if self.cookie else value
            self.lines.append(b"%b: %b\r\n" % (name, value))
        elif kind == AUTHORIZATION:
            self.authorization = value
            self.lines.append(b"%b: %b\r\n" % (name, value))
        elif kind == LENGTH:
            self.length = int(value)
        elif kind == ENCODING:
            self.chunked = True
            if value.strip().lower() != b"chunked":
                self.refused = "Transfer-Encoding is not chunked"
        elif kind == CONNECTION:
            self.connection = b", ".join((self.connection, value)) if self.connection else value
        elif kind == REQUEST_ID:
            self.request_id = value if headers.REQUEST_ID_FORM.match(value) else self.request_id
        elif kind == TRACE:
            self.trace = value if headers.TRACE_FORM.match(value) else self.trace
        elif kind == EXPECT:
            self.expects_continue = value.strip().lower() == b"100-continue"
        elif kind == NESTED:
            self.nested = value.strip()

    def finish(self, method: bytes, target: bytes, version: str, keep_alive: bool) -> None:
        """Called when the head is complete."""
        self.method = method.decode("ascii")
        self.http11 = version == "1.1"
        self.keep_alive = keep_alive
        if self.connection and headers.is_named_beyond(self.connection):
            self.lines = headers.without(self.lines, self.connection)
        self._take_target(target)
        if not self.http11 and version != "1.0":
            self.refused = "the version is neither 1.0 nor 1.1"
        elif self.hosts != 1 and (self.http11 or self.hosts > 1):
            self.refused = "there must be exactly one Host"
        elif self.length >= 0 and self.chunked:
            self.refused = "Content-Length and Transfer-Encoding contradict"
        elif self.chunked and not self.http11:
            self.refused = "Transfer-Encoding needs HTTP/1.1"

    def _take_target(self, target: bytes) -> None:
        """Origin form as it is; absolute form becomes origin form if it names the same host; the rest is refused."""
        if target[:1] != b"/":
            target = self._origin_form(target)
        self.target = target.partition(b"#")[0]
        self.path = self.target.partition(b"?")[0].decode("latin-1")

    def _origin_form(self, target: bytes) -> bytes:
        if target == b"*" and self.method == "OPTIONS":
            return target
        try:
            parts = urlsplit(target)
        except ValueError:
            parts = urlsplit(b"")
        if parts.scheme.lower() not in (b"http", b"https") or not parts.netloc or self.method == "CONNECT":
            self.refused = "the target is not a path"
            return b"/"
        if self.hosts and parts.netloc.lower() != self.host.lower():
            self.refused = "the target and Host contradict"
        return (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")

    @property
    def has_body(self) -> bool:
        return self.chunked or self.length > 0

    @property
    def size(self) -> int:
        """The bytes of the fields that pass."""
        return sum(map(len, self.lines))

    def header(self, name: str) -> str | None:
        """A passing field's value, for rules that look at headers."""
        start = name.encode("latin-1") + b":"
        for line in self.lines:
            if line[: len(start)].lower() == start:
                return line[len(start) :].strip().decode("latin-1")
        return None
