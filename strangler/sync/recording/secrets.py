"""What of a write may be kept at all. What can't be replayed without a secret is not recorded; what can is recorded without it.

- Headers that carry a secret by their name go. Who asked is kept as the user's id: a rehearsal proves it by a token of its own.
- A body, or a query, in which a field's name or a value looks like a secret (a password, a token, a card's number) is never kept:
  masked it would be another write, so the whole write is left out.
- Bodies that are neither JSON nor a plain form are left out, uploads for one; so are those over 64 kB.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from strangler.domain.parity import masking

MOST_BYTES = 64 * 1024
CREDENTIAL = re.compile(r"eyJ[\w-]{8,}\.|(?:bearer|basic|digest|token|negotiate)\s", re.IGNORECASE)
FORM = "application/x-www-form-urlencoded"
HOP_BY_HOP = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"})
OF_THE_BODY = frozenset({"content-length", "content-type", "host"})
OF_THE_WAY = ("x-strangler-", "x-forwarded-", "forwarded", "x-real-ip", "via", "traceparent", "tracestate", "x-request-id")


def headers(given: Mapping[str, str]) -> dict[str, str]:
    """Those that a replay sends again. A signature over the body is no secret: it is good for this body alone."""
    return {
        name: value
        for name, value in given.items()
        if name.lower() not in HOP_BY_HOP | OF_THE_BODY
        and not name.lower().startswith(OF_THE_WAY)
        and ("signature" in name.lower() or not masking.NAME.search(name))
        and not CREDENTIAL.match(value)
    }


def may_keep(body: bytes, content_type: str, query: str) -> bool:
    if len(body) > MOST_BYTES or any(_is_secret(name, value) for name, value in parse_qsl(query, keep_blank_values=True)):
        return False
    if not body:
        return True
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == FORM:
            pairs: Iterator[tuple[str, Any]] = iter(parse_qsl(body.decode(), keep_blank_values=True))
        elif kind == "application/json" or kind.endswith("+json"):
            pairs = _pairs(json.loads(body))
        else:
            return False
        return not any(_is_secret(name, value) for name, value in pairs)
    except (ValueError, RecursionError):
        return False


def _pairs(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _pairs(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from _pairs(one, name)
    else:
        yield name, value


def _is_secret(name: str, value: Any) -> bool:
    text = str(value)
    return bool(masking.NAME.search(name)) or masking.values(text) != text
