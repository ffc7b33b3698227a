"""Which header fields pass, both ways. Names are compared in lower case; what passes keeps its order, case and bytes."""

from __future__ import annotations

import re

PASS, HOST, LENGTH, ENCODING, CONNECTION, DROP, COOKIE, AUTHORIZATION, REQUEST_ID, TRACE, EXPECT, NESTED = range(12)

HOP_BY_HOP = (b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"upgrade")
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip")
OURS = b"x-strangler-"

REQUEST_FIELDS: dict[bytes, int] = {
    b"host": HOST,
    b"content-length": LENGTH,
    b"transfer-encoding": ENCODING,
    b"connection": CONNECTION,
    b"cookie": COOKIE,
    b"authorization": AUTHORIZATION,
    b"x-request-id": REQUEST_ID,
    b"traceparent": TRACE,
    b"expect": EXPECT,
    b"http2-settings": DROP,
    b"x-forwarded-server": DROP,
    b"x-forwarded-prefix": DROP,
    **dict.fromkeys((*HOP_BY_HOP, *FORWARDED), DROP),
}

POSITION, NOT_EXECUTED = 20, 21
RESPONSE_FIELDS: dict[bytes, int] = {
    b"content-length": LENGTH,
    b"transfer-encoding": ENCODING,
    b"connection": CONNECTION,
    b"x-strangler-position": POSITION,
    b"x-strangler-not-executed": NOT_EXECUTED,
    **dict.fromkeys(HOP_BY_HOP, DROP),
}

REQUEST_ID_FORM = re.compile(rb"^[A-Za-z0-9._\-+/=]{1,128}$")
TRACE_FORM = re.compile(rb"^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$")


def unlisted_field(lower: bytes) -> int:
    """What to do with a field that is not in ``REQUEST_FIELDS``. An underscore counts as a dash: WSGI maps both to one name."""
    if b"_" in lower:
        alias = lower.replace(b"_", b"-")
        return DROP if alias in REQUEST_FIELDS or alias.startswith(OURS) else PASS
    if lower.startswith(OURS):
        return NESTED if lower == b"x-strangler-request" else DROP
    return PASS


def response_field(lower: bytes) -> int:
    kind = RESPONSE_FIELDS.get(lower)
    if kind is not None:
        return kind
    return DROP if lower.startswith(OURS) else PASS


def without(lines: list[bytes], connection: bytes) -> list[bytes]:
    """Header lines without those that the ``Connection`` field names as meant for this hop only."""
    named = tuple(token.strip().lower() + b":" for token in connection.split(b",") if token.strip())
    return [line for line in lines if not line.lower().startswith(named)] if named else lines


def is_named_beyond(connection: bytes) -> bool:
    """Whether ``Connection`` names more than the usual words."""
    return any(token.strip().lower() not in (b"close", b"keep-alive", b"upgrade", b"te", b"") for token in connection.split(b","))
