"""The bytes of heads: of a request towards an application, of a response towards a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strangler.domain.decision import Decision, Why
from strangler.domain.stages import Side
from strangler.domain.table import RouteTable
from strangler_proxy import nested
from strangler_proxy.request import Request
from strangler_proxy.visitor import OWN_COOKIE

if TYPE_CHECKING:
    from strangler_proxy.plane import Plane
    from strangler_proxy.upstream import UpstreamConnection

LAST_CHUNK = b"0\r\n\r\n"
_YEAR = 365 * 24 * 3600


def frame(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def fallback(table: RouteTable, decision: Decision) -> Decision:
    return table.to(Side.MONOLITH, decision.met, Why.FALLBACK, decision.bucket)


def request_head(request: Request, decision: Decision, plane: Plane) -> bytes:
    """Strips nothing (``Request`` did that) and adds what this hop says: framing, forwarding, ids, stamp."""
    parts = [b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.target), *request.lines]
    if not request.hosts:
        parts.append(b"Host: %b\r\n" % decision.urls[0].partition("://")[2].encode())
    if request.chunked:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    elif request.length >= 0:
        parts.append(b"Content-Length: %d\r\n" % request.length)
    if request.expects_continue:
        parts.append(b"Expect: 100-continue\r\n")
    parts.append(request.forwarded)
    parts.append(b"X-Forwarded-Host: %b\r\nX-Request-ID: %b\r\n" % (request.host, request.request_id))
    parts.append(b"traceparent: %b\r\n" % (request.trace or plane.new_trace()))
    stamp = decision.stamp
    if stamp is not None:
        parts.append(plane.stamp_lines(stamp))
    if decision.met.writes and plane.secret:
        signed = nested.issue(plane.secret, request.request_id, decision.met.writes, plane.wall())
        parts.append(b"X-Strangler-Request: %b\r\n" % signed)
    parts.append(b"\r\n")
    return b"".join(parts)


def copy_head(request: Request, decision: Decision, plane: Plane) -> bytes:
    """The head of a shadow copy: as the original's, marked as a copy, with the service's stamp."""
    parts = [b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.target), *request.lines]
    if not request.hosts:
        parts.append(b"Host: %b\r\n" % decision.urls[0].partition("://")[2].encode())
    parts.append(request.forwarded)
    parts.append(b"X-Forwarded-Host: %b\r\nX-Request-ID: %b\r\nX-Strangler-Shadow: 1\r\n" % (request.host, request.request_id))
    stamp = decision.stamp
    if stamp is not None:
        parts.append(plane.stamp_lines(stamp))
    parts.append(b"\r\n")
    return b"".join(parts)


def interim_head(connection: UpstreamConnection) -> bytes:
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (connection.status, connection.reason, b"".join(connection.lines))


def own_cookie(value: str) -> bytes:
    return b"Set-Cookie: %b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax\r\n" % (OWN_COOKIE, value.encode(), _YEAR)


def response_head(
    request: Request, connection: UpstreamConnection, extra: bytes, closes: bool, from_inside: bool
) -> tuple[bytes, bool, bool]:
    """The head, whether the body is to be sent in chunks, and whether the connection must close for its end to be seen.

    ``from_inside``: an application asked through the proxy; it gets the position, to hand it on.
    """
    status = connection.status
    parts = [b"HTTP/1.1 %d %b\r\n" % (status, connection.reason), *connection.lines]
    chunked = needs_close = False
    if request.method == "HEAD" or status == 304:
        if connection.length:
            parts.append(b"Content-Length: %b\r\n" % connection.length)
    elif status == 204:
        pass
    elif connection.length and not connection.chunked:
        parts.append(b"Content-Length: %b\r\n" % connection.length)
    elif request.http11:
        chunked = True
        parts.append(b"Transfer-Encoding: chunked\r\n")
    else:
        needs_close = True
    if extra:
        parts.append(extra)
    if from_inside and connection.position:
        parts.append(b"X-Strangler-Position: %b\r\n" % connection.position)
    if closes or needs_close:
        parts.append(b"Connection: close\r\n")
    elif not request.http11:
        parts.append(b"Connection: keep-alive\r\n")
    parts.append(b"\r\n")
    return b"".join(parts), chunked, needs_close
