"""Reading the JSON snapshot of DESIGN section 7, strictly: a table is taken whole or refused whole, with the place named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from strangler.domain.routes import Rule
from strangler.domain.site import Site
from strangler.domain.stages import Stage

ORIGIN = re.compile(r"^https?://([\w.\-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?/?$|^unix:/[\w.\-/]+$", re.ASCII)
TRUSTED = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*://[^/\s]+$", re.ASCII)
METHOD = re.compile(r"^[A-Z]{1,20}$", re.ASCII)
TOKEN = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", re.ASCII)
NAME = re.compile(r"^[A-Za-z_][\w-]{0,63}$", re.ASCII)
PAGE = re.compile(r"^/[!-\x22$-~]{0,255}\Z", re.ASCII)
_PLACEHOLDER = re.compile(r"^\{\w+\}$")


class TableError(ValueError):
    """The snapshot is not a route table. The message names the place and what is wrong there."""

    def __init__(self, place: str, wrong: str) -> None:
        self.place, self.wrong = place, wrong
        super().__init__(f"{place}: {wrong}" if place else wrong)


def table(raw: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise TableError(place, f"is {_short(raw)}, not an object")
    return raw


def array(raw: Any, place: str) -> list[Any]:
    if not isinstance(raw, list):
        raise TableError(place, f"is {_short(raw)}, not a list")
    return raw


def whole(raw: Any, place: str, low: int = 0, high: int | None = None) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < low or (high is not None and raw > high):
        raise TableError(place, f"is {_short(raw)}, not a whole number from {low}{'' if high is None else f' to {high}'}")
    return raw


def flag(raw: Any, place: str) -> bool:
    if not isinstance(raw, bool):
        raise TableError(place, f"is {_short(raw)}, not true or false")
    return raw


def number(raw: Any, place: str, low: float, high: float) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not low <= raw <= high:
        raise TableError(place, f"is {_short(raw)}, not a number from {low:g} to {high:g}")
    return float(raw)


def text(raw: Any, place: str) -> str:
    if not isinstance(raw, str):
        raise TableError(place, f"is {_short(raw)}, not text")
    return raw


def one_of(raw: Any, place: str, choices: tuple[str, ...]) -> str:
    if raw not in choices:
        raise TableError(place, f"is {_short(raw)}; it is one of {', '.join(choices)}")
    return str(raw)


def stage(raw: Any, place: str) -> Stage:
    return Stage(one_of(raw, place, tuple(stage.value for stage in Stage)))


def name(raw: Any, place: str) -> str:
    if not isinstance(raw, str) or not NAME.match(raw):
        raise TableError(place, f"{_short(raw)} is not a name (letters, digits, _ and -, 64 at most)")
    return raw


def origins(raw: Any, place: str) -> tuple[str, ...]:
    """URLs of servers: scheme, host, port; or a socket file, ``unix:/run/shop.sock``. Returned without a trailing slash."""
    found = []
    for index, url in enumerate(array(raw, place)):
        match = ORIGIN.match(url) if isinstance(url, str) else None
        if not match or (match[2] and not 0 < int(match[2][1:]) < 65536):
            raise TableError(f"{place}[{index}]", f'is {_short(url)}, not an origin such as "http://127.0.0.1:8105"')
        found.append(url.rstrip("/"))
    return tuple(found)


def site(raw: Any, place: str) -> Site:
    """The names of the monolith's cookies, and whom it trusts; what is absent is Django's default."""
    body, usual = table(raw, place), Site()
    names = {}
    for key in ("session_cookie", "csrf_cookie", "csrf_header"):
        value = body.get(key, getattr(usual, key))
        if not isinstance(value, str) or not TOKEN.match(value):
            raise TableError(f"{place}.{key}", f"is {_short(value)}, not the name of a cookie or a header")
        names[key] = value
    trusted = array(body.get("trusted_origins", []), f"{place}.trusted_origins")
    for index, origin in enumerate(trusted):
        if not isinstance(origin, str) or not TRUSTED.match(origin):
            raise TableError(f"{place}.trusted_origins[{index}]", f'is {_short(origin)}, not as in "https://*.example.com"')
    return Site(names["session_cookie"], names["csrf_cookie"], names["csrf_header"].lower(), tuple(trusted))


def page(raw: Any, place: str) -> str:
    """The path of a health page, with its query if need be; "" for none."""
    found = text(raw or "", place)
    if found and not PAGE.match(found):
        raise TableError(place, f'is {_short(raw)}, not a path such as "/readyz"')
    return found


def rule(raw: Any, place: str) -> Rule:
    """The ``match`` object of a route."""
    match = table(raw, place)
    known = ("methods", "path", "pattern", "prefix", "headers")
    for key in match:
        if key not in known:
            raise TableError(f"{place}.{key}", f"is not a known key; known are {', '.join(known)}")
    kinds = [kind for kind in ("path", "pattern", "prefix") if match.get(kind)]
    if len(kinds) != 1:
        raise TableError(place, f"has {' and '.join(kinds) or 'no matcher'}; give exactly one of path, pattern, prefix")
    where = text(match[kinds[0]], f"{place}.{kinds[0]}")
    _check_path(kinds[0], where, f"{place}.{kinds[0]}")
    methods = array(match.get("methods") or [], f"{place}.methods")
    for index, method in enumerate(methods):
        if not isinstance(method, str) or not METHOD.match(method):
            raise TableError(f"{place}.methods[{index}]", f"is {_short(method)}, not a method in capitals")
    headers = table(match.get("headers") or {}, f"{place}.headers")
    for header, value in headers.items():
        if not TOKEN.match(header) or not isinstance(value, str):
            raise TableError(f"{place}.headers.{header}", "is not a header name with a text value")
    pairs = tuple(sorted((header.lower(), value) for header, value in headers.items()))
    return Rule(**{kinds[0]: where}, methods=frozenset(methods), headers=pairs)


def _check_path(kind: str, where: str, place: str) -> None:
    if not where.startswith("/") or "?" in where or "#" in where:
        raise TableError(place, f'is {_short(where)}; a path starts with "/" and has no query')
    if kind != "pattern":
        return
    for segment in where.strip("/").split("/"):
        if ("{" in segment or "}" in segment) and not _PLACEHOLDER.match(segment):
            raise TableError(place, f"segment {_short(segment)}: a placeholder such as {{id}} fills a whole segment")


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"
