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
IN_RESPONSE = frozenset((b"content-length", b"transfer-encoding", b"connection", b"set-cookie", *HOP_BY_HOP))
"""Fields of a response that don't simply pass."""
IN_TRAILERS = frozenset((*KNOWN, b"trailer", b"set-cookie"))
"""What a trailer may not say (RFC 9110, 6.5.1): framing, routing, and whatever would be stripped from a head."""

REQUEST_ID_FORM = re.compile(rb"^[A-Za-z0-9._\-+/=]{1,128}$")
TRACE_FORM = re.compile(rb"^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$")


class Passing(set[bytes]):
    """Lines of fields that are known to pass as they are: clients and applications mostly say what they said before. Bounded."""

    _MOST, _LONGEST = 4096, 256

    def learn(self, line: bytes) -> None:
        if len(line) <= self._LONGEST:
            if len(self) >= self._MOST:
                self.clear()
            self.add(line)


def is_alias(lower: bytes) -> bool:
    """Whether a name with an underscore would be read as one of ours, or as one that is stripped: WSGI maps both to one name."""
    dashed = lower.replace(b"_", b"-")
    return dashed in KNOWN or dashed.startswith(OURS)


def may_trail(lower: bytes) -> bool:
    dashed = lower.replace(b"_", b"-")
    return dashed not in IN_TRAILERS and not dashed.startswith(OURS)
