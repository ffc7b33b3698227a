"""Secrets are masked in an example before it is stored anywhere: by the name they stand under, and by what they look like.

Rather too much than too little: what is masked is a value, never a name, so an example still shows where the sides differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from strangler.domain.parity.answers import Answer, decoded
from strangler.domain.parity.difference import Difference
from strangler.domain.parity.json_values import Repeated, Value, parse

MASK = "•••"
_NAMES = (
    r"passw|passphrase|passcode|pwd|secret|token|csrf|xsrf|authori[sz]ation|cookie|session|api[-_ ]?key|access[-_]?key|credential"
    r"|private|signature|jwt|bearer|(?<!dis)card(?!inal)|cvv|cvc|iban|account[-_]?number|ssn|one[-_]?time|otp|(?<![a-z])pin(?![a-z])"
)
NAME = re.compile(_NAMES, re.IGNORECASE)
LOOKS = re.compile(
    r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}"  # a JSON Web Token
    r"|(?i:bearer|basic|digest|token) +[\w.~+/=-]{8,}"
    r"|(?<![0-9A-Za-z])[0-9a-fA-F]{32,}(?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z])(?=[a-z0-9_-]{0,40}\d)(?=[a-z0-9_-]{0,40}[A-Z])[A-Za-z0-9_-]{40,}"
    r"|(?<![0-9A-Za-z])(?:sk|pk|rk|ghp|gho|xox[abp]|AKIA)[_-]?[A-Za-z0-9_-]{16,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*-----)?"
)
CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.])")
PAIR = re.compile(
    rf"""(["']?[\w.-]{{0,40}}?(?:{_NAMES})[\w.-]{{0,40}}["']?\s*[=:]\s*)("[^"]*"?|'[^']*'?|[^\s,;&<>"'}}\]]+)""", re.I
)
TAG = re.compile(r"<[^<>]*>")
VALUE = re.compile(r"""(\b(?:value|content)\s*=\s*)("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)


def text(found: str) -> str:
    """Whatever looks like a secret, and whatever follows a secret's name."""
    return PAIR.sub(rf"\1{MASK}", values(found))


def values(found: str) -> str:
    return CARD.sub(_card, LOOKS.sub(MASK, found))


def _card(match: re.Match[str]) -> str:
    """A number that passes Luhn's check is taken for a card's."""
    digits = [int(character) for character in match[0] if character.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) if place % 2 else digit for place, digit in enumerate(reversed(digits)))
    return match[0] if sum(doubled) % 10 else MASK


def url(target: str) -> str:
    """A URL or request target with its secrets masked: user and password, path segments that look like one, query parameters."""
    place, mark, rest = target.partition("?")
    query, hash_mark, fragment = rest.partition("#")
    place = re.sub(r"//[^/@\s]*@", f"//{MASK}@", place)
    masked = form(query) if mark else ""
    return values(place) + mark + masked + hash_mark + text(fragment)


def form(query: str) -> str:
    """``a=1&token=…``; a name may be percent-encoded too, so one that isn't plain is masked as well."""
    pairs = []
    for pair in query.split("&"):
        name, found, value = pair.partition("=")
        pairs.append(name + found + (MASK if value and (NAME.search(name) or "%" in name) else values(value)))
    return "&".join(pairs)


def headers(found: Mapping[str, str]) -> dict[str, str]:
    return {name: _header(name.lower(), value) for name, value in found.items()}


def _header(name: str, value: str) -> str:
    if name == "set-cookie":  # names and flags stay: they are what is compared
        return "\n".join(re.sub(r"^([^=;]*)=[^;]*", rf"\1={MASK}", line) for line in value.split("\n"))
    if NAME.search(name):
        return MASK
    return url(value) if name in ("location", "content-location", "referer", "refresh", "link") else text(value)


def body(content_type: str, content: bytes) -> str:
    """The body as text with its secrets masked; one that isn't text is named by its length alone."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return written(_masked(parse(content)))
        except (ValueError, RecursionError):
            pass
    shown = _readable(decoded(content))
    if kind == "application/x-www-form-urlencoded":
        return form(shown)
    if kind.startswith("text/") or kind.endswith(("json", "xml", "javascript")):
        return text(TAG.sub(_tag, shown))
    return f"{len(content)} bytes"


def _readable(found: str) -> str:
    return found.replace("\0", "␀").encode("utf-8", "replace").decode()


def _tag(match: re.Match[str]) -> str:
    return VALUE.sub(rf'\1"{MASK}"', match[0]) if NAME.search(match[0]) else match[0]


def _masked(value: Value) -> Value:
    if isinstance(value, dict):
        return {name: _hidden(each) if NAME.search(name) else _masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    if isinstance(value, Repeated):
        return Repeated(map(_masked, value))
    if isinstance(value, tuple):
        return (CARD.sub(_card, value[0]),)
    return text(value) if isinstance(value, str) else value


def _hidden(value: Value) -> Value:
    """All that stands under a secret's name. What is empty, null, true or false is no secret."""
    if isinstance(value, dict):
        return {name: _hidden(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_hidden(each) for each in value]
    if isinstance(value, Repeated):
        return Repeated(map(_hidden, value))
    return MASK if isinstance(value, tuple) or value else value


def written(value: Value, indent: str = "") -> str:
    """JSON for people to read, with its numbers as they came."""
    inside = indent + "  "
    if isinstance(value, dict) and value:
        pairs = [(name, each) for name, one in value.items() for each in (one if isinstance(one, Repeated) else (one,))]
        lines = [f"{inside}{_string(name)}: {written(each, inside)}" for name, each in pairs]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inside + written(each, inside) for each in value) + f"\n{indent}]"
    if isinstance(value, tuple):
        return str(value[0])
    return _string(value) if isinstance(value, str) else json.dumps(value)


def _string(value: str) -> str:
    return _readable(json.dumps(value, ensure_ascii=False))


def answer(found: Answer) -> dict[str, Any]:
    """An answer as it may be stored, as JSON: status, headers, content_type, body (text or None), length, ms."""
    content = found.content()
    return {
        "status": found.status,
        "headers": headers(found.headers),
        "content_type": found.content_type,
        "body": None if content is None else body(found.content_type, content),
        "length": found.length,
        "ms": found.ms,
    }


def difference(found: Difference) -> Difference:
    """With its excerpts masked: wholly where the field is a secret's, else what looks like one."""
    secret = NAME.search(found.field.removeprefix("header set-cookie")) is not None
    return replace(found, old=_excerpt(found.old, secret), new=_excerpt(found.new, secret))


def _excerpt(shown: str | None, secret: bool) -> str | None:
    if not shown:
        return shown
    return MASK if secret else text(url(shown) if "://" in shown else shown)
