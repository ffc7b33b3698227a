"""One request's head: what passes on, what the proxy itself looks at, what is refused."""

from __future__ import annotations

from strangler_proxy import grammar, headers, problems
from strangler_proxy.headers import OVERRIDE_COOKIE, POSITION_COOKIE

IDEMPOTENT_READS = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS = {
    name.encode(): name
    for name in (
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    )
}  # fmt: skip
VERSIONS = {b"HTTP/1.1": True, b"HTTP/1.0": False}


class Fields:
    """The header fields of a request. ``kept`` are the lines that pass, as they came; ``refused`` says in words why, or is "".

    ``plain``: nothing in them tells where the user wrote, nor asks for a side. ``seldom``: there is something that this hop must
    say anew.
    """

    # What most requests don't have stands at the class.
    authorization = cookie = host = nested = override = request_id = trace = upgrade = b""
    forwarded = forwarded_for = forwarded_host = forwarded_proto = b""
    hosts, length = 0, -1
    chunked = close = expects_continue = has_body = keep_alive = seldom = False
    plain = True
    refused = ""
    user = ""  # who it is, once somebody asked
    credential: tuple[object, bytes, bytes] | None = None  # its name, and what that was made for: see ``Identities``

    def __init__(self, block: bytes) -> None:
        """``block``: from the end of the request line to that of the last field."""
        self.kept = self._take(block)
        self.has_body = self.chunked or self.length > 0
        self.seldom = bool(not self.hosts or self.chunked or self.expects_continue or self.upgrade)
        if self.authorization or self.override or POSITION_COOKIE in self.cookie:
            self.plain = False
        if OVERRIDE_COOKIE in self.cookie:
            self.plain = False
            self.kept = grammar.block(grammar.without_cookie(grammar.lines(self.kept), OVERRIDE_COOKIE))

    def _take(self, block: bytes) -> bytes:
        lines = grammar.lines(block)
        named: list[bytes] = []
        gone = [line for line in lines if line not in _PASSING and not self._passes(line, named)]
        if self.upgrade and (b"upgrade" not in named or self.chunked or self.length > 0):
            self.upgrade = b""
        if self.host not in _HOSTS and not _is_host(self.host):
            self.refused = "Host is malformed"
        elif self.chunked and self.length >= 0:
            self.refused = "Transfer-Encoding contradicts Content-Length"
        if not gone:
            return block
        kept = [line for line in lines if line not in gone]
        return grammar.block(self._obey(named, kept) if named else kept)

    def _passes(self, line: bytes, named: list[bytes]) -> bool:
        """Takes one field; whether it passes."""
        found = grammar.FIELD.fullmatch(line)
        if found is None:
            self.refused = grammar.reason(line)
            return False
        name, value = found[1].lower(), found[2].rstrip(b" \t")
        if name == b"cookie":
            self.cookie = b"; ".join((self.cookie, value)) if self.cookie else value
        elif name == b"authorization":
            self.authorization = value
        elif name == b"host":
            self.hosts += 1
            self.host = value
        elif name == b"content-length":
            self._take_length(value)
        elif name == b"connection":
            named += grammar.tokens(value)
            return False
        elif name in headers.KNOWN or name.startswith(headers.OURS):
            self._take_other(name, value)
            return False
        elif b"_" in name and headers.is_alias(name):
            return False
        else:
            _PASSING.learn(line)
        return True

    def _take_length(self, value: bytes) -> None:
        if self.length >= 0 or not grammar.NUMBER.fullmatch(value):
            self.refused = "Content-Length is not one number"
        else:
            self.length = int(value)

    def _take_other(self, name: bytes, value: bytes) -> None:
        if name == b"transfer-encoding":
            if self.chunked or value.lower() != b"chunked":
                self.refused = "Transfer-Encoding is not chunked"
            self.chunked = True
        elif name == b"x-request-id":
            self.request_id = value if headers.REQUEST_ID_FORM.match(value) else self.request_id
        elif name == b"traceparent":
            self.trace = value if headers.TRACE_FORM.match(value) else self.trace
        elif name == b"expect":
            self.expects_continue = value.lower() == b"100-continue"
        elif name == b"upgrade":
            other_http = any(word.startswith((b"h2", b"http")) for word in grammar.tokens(value))
            self.upgrade = b"" if other_http else value  # HTTP/2 would pass the proxy by
        elif name == b"x-strangler-request":
            self.nested = value
        elif name == b"x-strangler-override":
            self.override = value
        elif name == b"x-forwarded-for":
            self.forwarded_for = b", ".join((self.forwarded_for, value)) if self.forwarded_for else value
        elif name == b"forwarded":
            self.forwarded = b", ".join((self.forwarded, value)) if self.forwarded else value
        elif name == b"x-forwarded-proto":
            self.forwarded_proto = value
        elif name == b"x-forwarded-host":
            self.forwarded_host = value

    def _obey(self, named: list[bytes], kept: list[bytes]) -> list[bytes]:
        """``Connection`` and the fields that it names for this hop only."""
        self.close = b"close" in named
        self.keep_alive = b"keep-alive" in named
        beyond = frozenset(named) - {b"close", b"keep-alive", b"upgrade", b"te"} - _NEVER_DROPPED
        return grammar.without_named(kept, beyond) if beyond else kept

    def get(self, name: str) -> str | None:
        """A passing field's value, for rules that look at headers."""
        start = b"\n" + name.encode("latin-1") + b":"
        at = self.kept.lower().find(start)
        if at < 0:
            return None
        return self.kept[at + len(start) : self.kept.index(b"\r\n", at + 1)].strip(b" \t").decode("latin-1")


_NEVER_DROPPED = frozenset({b"host", b"content-length", b"cookie", b"authorization"})


_HOSTS: set[bytes] = set()
_PASSING = headers.Passing()


def _is_host(value: bytes) -> bool:
    """Hosts are few, so they are remembered."""
    if grammar.HOST.fullmatch(value) is None:
        return False
    if len(_HOSTS) < 256 and len(value) < 256:
        _HOSTS.add(value)
    return True


class Line:
    """A request line. ``host`` is that of a target in absolute form; ``refused`` says in words why it is none, or is ""."""

    __slots__ = ("host", "http11", "method", "path", "refused", "target", "verb")

    def __init__(self, line: bytes) -> None:
        self.host, self.refused = b"", ""
        self.verb, _, rest = line.partition(b" ")
        self.target, _, version = rest.rpartition(b" ")
        self.http11 = VERSIONS.get(version) is not False
        self.method = METHODS.get(self.verb, "")
        if grammar.TARGET.fullmatch(self.target) is None:
            self.refused = "the request's target is malformed"
        elif not self.method or version not in VERSIONS:
            self._look_closer(version)
        if self.refused:
            self.path = ""
            return
        if self.target[:1] != b"/" or b"#" in self.target:
            self._take_origin_form()
        self.path = self.target.partition(b"?")[0].decode("latin-1")

    def _look_closer(self, version: bytes) -> None:
        """Extension methods are as good as others, and a minor version that is to come is read as 1.1 (RFC 9110, 6.2)."""
        found = grammar.VERSION.fullmatch(version)
        if found is None:
            self.refused = "the request line has no version of HTTP"
        elif grammar.METHOD.fullmatch(self.verb) is None:
            self.refused = "the method is no word in capitals"
        elif found[1] != b"1":
            self.refused = problems.OTHER_VERSION
        elif self.verb == b"CONNECT":
            self.refused = problems.NO_TUNNELS
        self.method = self.verb.decode("latin-1")

    def _take_origin_form(self) -> None:
        """Absolute form becomes origin form; the rest is refused."""
        target = self.target = self.target.partition(b"#")[0]
        if target[:1] == b"/" or (target == b"*" and self.method == "OPTIONS"):
            return
        found = grammar.ABSOLUTE.fullmatch(target)
        if found is None or grammar.HOST.fullmatch(found[1]) is None:
            self.refused = "the target is not a path"
            return
        self.host = found[1].lower()
        if found[2]:
            self.target = found[2] if found[2][:1] == b"/" else b"/" + found[2]
        else:
            self.target = b"*" if self.method == "OPTIONS" else b"/"  # RFC 9112, 3.2.4


class Request:
    """``refused`` says in words why this is no request, or is empty.

    ``address`` is the client's, ``forwarded`` the header lines that tell of it, ``host`` what it asked for, as far as proxies in
    front are believed; ``asked`` the host of a target in absolute form.
    """

    __slots__ = (
        "address", "asked", "fields", "forwarded", "host", "http11", "method", "path", "refused", "request_id", "target", "verb",
    )  # fmt: skip

    def __init__(self, line: Line, fields: Fields) -> None:
        self.fields, self.asked = fields, line.host
        self.request_id = fields.request_id
        self.forwarded, self.address, self.host = b"", "", fields.host or line.host
        self.verb, self.method, self.target, self.path, self.http11 = line.verb, line.method, line.target, line.path, line.http11
        self.refused = fields.refused or line.refused
        if fields.hosts != 1 and (line.http11 or fields.hosts > 1):
            self.refused = self.refused or "there must be exactly one Host"
        elif line.host and fields.hosts and fields.host.lower() != line.host:
            self.refused = self.refused or "the target and Host contradict"
        elif fields.chunked and not line.http11:
            self.refused = self.refused or "Transfer-Encoding needs HTTP/1.1"

    @property
    def upgrade(self) -> bytes:
        """The protocol that the client would rather speak."""
        return self.fields.upgrade if self.http11 else b""

    @property
    def keep_alive(self) -> bool:
        return not self.fields.close and (self.http11 or self.fields.keep_alive)
