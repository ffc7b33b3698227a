"""The bytes of heads: of a request towards an application, of a response towards a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strangler.domain.decision import Decision, Why
from strangler.domain.stages import Side
from strangler.domain.table import RouteTable
from strangler_proxy import grammar, nested
from strangler_proxy.headers import OWN_COOKIE
from strangler_proxy.request import Request
from strangler_proxy.response import BODILESS, Head

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane
    from strangler_proxy.routing import Way

_YEAR = 365 * 24 * 3600
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def frame(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: bytes) -> bytes:
    return b"0\r\n%b\r\n" % trailers


def fallback(table: RouteTable, decision: Decision) -> Decision:
    return table.to(Side.MONOLITH, decision.met, Why.FALLBACK, decision.bucket)


def request_head(request: Request, way: Way, plane: Plane, identity: bytes) -> bytes:
    """Strips nothing (``Request`` did that) and adds what this hop says: framing, forwarding, ids, stamp, identity."""
    fields, decision, more = request.fields, way.decision, way.stamp + identity
    if fields.seldom:
        more += _of_this_hop(request, decision)
    writes = decision.met.writes
    if writes and plane.secret:
        more += b"X-Strangler-Request: %b\r\n" % nested.issue(plane.secret, request.request_id, writes, plane.wall())
    return b"%b %b HTTP/1.1%b%bX-Forwarded-Host: %b\r\nX-Request-ID: %b\r\ntraceparent: %b\r\n%b\r\n" % (
        request.verb,
        request.target,
        fields.kept,
        request.forwarded,
        request.host,
        request.request_id,
        fields.trace or plane.new_trace(),
        more,
    )


def _of_this_hop(request: Request, decision: Decision) -> bytes:
    fields = request.fields
    lines = b"" if fields.hosts else _host_line(request, decision)
    if fields.chunked:
        lines += b"Transfer-Encoding: chunked\r\n"
    if fields.expects_continue and fields.has_body and request.http11:
        lines += b"Expect: 100-continue\r\n"
    if request.upgrade:
        lines += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % request.upgrade
    return lines


def _host_line(request: Request, decision: Decision) -> bytes:
    """For a client of HTTP/1.0 that sends no Host; a target in absolute form names one."""
    return b"Host: %b\r\n" % (request.asked or (decision.urls[0].partition("://")[2] or "localhost").encode())


CONDITIONS = frozenset((b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"))


def is_conditional(request: Request) -> bool:
    """Whether the answer may be less than the whole, by what the client has already."""
    lower = request.fields.kept.lower()
    return b"\nif-" in lower or b"\nrange:" in lower


def copy_head(request: Request, way: Way, identity: bytes) -> bytes:
    """The head of a copy: as the original's, marked as a copy, with a side's stamp and the identity, always for the whole."""
    fields, kept = request.fields, request.fields.kept
    if is_conditional(request):
        kept = grammar.block(grammar.without_named(grammar.lines(kept), CONDITIONS))
    return b"%b %b HTTP/1.1%b%b%bX-Forwarded-Host: %b\r\nX-Request-ID: %b\r\nX-Strangler-Shadow: 1\r\n%b\r\n" % (
        request.verb,
        request.target,
        kept,
        b"" if fields.hosts else _host_line(request, way.decision),
        request.forwarded,
        request.host,
        request.request_id,
        way.stamp + identity,
    )


def switched_head(head: Head) -> bytes:
    return b"HTTP/1.1%b%bConnection: Upgrade\r\n\r\n" % (head.line[8:], head.kept)


def own_cookie(value: str) -> bytes:
    return b"Set-Cookie: %b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax\r\n" % (OWN_COOKIE, value.encode(), _YEAR)


def response_head(request: Request, head: Head, extra: bytes, closes: bool, from_inside: bool) -> tuple[bytes, bool, bool]:
    """The head, whether the body is to be sent in chunks, and whether the connection must close for its end to be seen.

    ``from_inside``: an application asked through the proxy; it gets the position, to hand it on.
    """
    chunked = needs_close = False
    if head.length < 0 and request.method != "HEAD" and head.status not in BODILESS:
        if request.http11:
            chunked = True
            extra = b"Transfer-Encoding: chunked\r\n" + extra
        else:
            needs_close = True
    if from_inside and head.position:
        extra += b"X-Strangler-Position: %b\r\n" % head.position
    if closes or needs_close:
        extra += b"Connection: close\r\n"
    elif not request.http11:
        extra += b"Connection: keep-alive\r\n"
    if not extra:
        return head.plain, chunked, needs_close
    return b"HTTP/1.1%b%b%b\r\n" % (head.line[8:], head.kept, extra), chunked, needs_close
