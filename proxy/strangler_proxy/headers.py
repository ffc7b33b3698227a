"""Which header fields pass, both ways. Names are compared in lower case; what passes keeps its order, case and bytes."""

from __future__ import annotations

import re

OURS = b"x-strangler-"
SESSION_COOKIE, OWN_COOKIE, POSITION_COOKIE = b"sessionid", b"strangler_id", b"strangler_position"
OVERRIDE_COOKIE = b"strangler_override"
HOP_BY_HOP = (b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"upgrade")
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip")
DROPPED = (*HOP_BY_HOP, *FORWARDED, b"http2-settings", b"x-forwarded-server", b"x-forwarded-prefix")
LOOKED_AT = (
    b"host", b"content-length", b"transfer-encoding", b"connection", b"cookie", b"authorization", b"x-request-id", b"traceparent",
    b"expect",
)  # fmt: skip
KNOWN = frozenset((*DROPPED, *LOOKED_AT))


def _fields(*names: bytes) -> re.Pattern[bytes]:
    """Some fields, and all of ours, in a head in lower case: name, then value with the white space behind it.

    The line's end is left: the next field begins with it.
    """
    return re.compile(rb"\n(" + b"|".join((*names, OURS + rb"[^:\r\n]*+")) + rb"):[ \t]*+([^\r\n]*+)")


IN_REQUEST = _fields(*LOOKED_AT, *DROPPED)
"""Fields of a request that don't simply pass."""
IN_RESPONSE = _fields(b"content-length", b"transfer-encoding", b"connection", *HOP_BY_HOP)
IN_TRAILERS = frozenset((*KNOWN, b"trailer", b"set-cookie"))
"""What a trailer may not say (RFC 9110, 6.5.1): framing, routing, and whatever would be stripped from a head."""

REQUEST_ID_FORM = re.compile(rb"^[A-Za-z0-9._\-+/=]{1,128}$")
TRACE_FORM = re.compile(rb"^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$")


def is_alias(lower: bytes) -> bool:
    """Whether a name with an underscore would be read as one of ours, or as one that is stripped: WSGI maps both to one name."""
    dashed = lower.replace(b"_", b"-")
    return dashed in KNOWN or dashed.startswith(OURS)


def may_trail(lower: bytes) -> bool:
    dashed = lower.replace(b"_", b"-")
    return dashed not in IN_TRAILERS and not dashed.startswith(OURS)
