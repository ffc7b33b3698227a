"""The headers that matter to a client, by what they mean: lists without order or case, cookies by name and flags."""

from __future__ import annotations

from collections.abc import Mapping

from strangler.domain.parity.difference import Found, Kind
from strangler.domain.parity.rules import Ruleset

HEADERS = (
    "allow",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-type",
    "location",
    "set-cookie",
    "vary",
    "www-authenticate",
)
"""Compared unless others are asked for; ``etag``, ``last-modified`` and their like follow from how an answer is made."""
LISTS = frozenset({"allow", "cache-control", "vary"})


def header_differences(
    old: Mapping[str, str], new: Mapping[str, str], names: tuple[str, ...], rules: Ruleset, found: Found
) -> None:
    for name in names:
        if name == "set-cookie":
            _cookies(old.get(name, ""), new.get(name, ""), rules, found)
        elif old.get(name) != new.get(name):
            field = f"header {name}"
            shown = [rules.text(field, side[name]) if name in side else None for side in (old, new)]
            _one(field, shown[0], shown[1], rules, found, _meaning(name))


def _meaning(name: str) -> object:
    if name in LISTS:
        return _members
    return _media_type if name == "content-type" else str


def _one(field: str, old: str | None, new: str | None, rules: Ruleset, found: Found, meaning: object) -> None:
    if rules.ignores(field):
        return
    if old is None or new is None:
        if old is not None:
            found.add(field, Kind.MISSING, old, None)
        elif new is not None:
            found.add(field, Kind.EXTRA, None, new)
    elif callable(meaning) and meaning(old) != meaning(new):
        found.add(field, Kind.VALUE, old, new)


def _members(value: str) -> list[str]:
    return sorted({member.strip().lower() for member in value.replace("\n", ",").split(",")} - {""})


def _media_type(value: str) -> str:
    return value.lower().replace(" ", "").replace('"', "")


def _cookies(old: str, new: str, rules: Ruleset, found: Found) -> None:
    olds, news = _flags(old), _flags(new)
    for name in {**olds, **news}:
        _one(f"header set-cookie {name}", olds.get(name), news.get(name), rules, found, str)


def _flags(value: str) -> dict[str, str]:
    """Of each cookie that is set, its attributes without the expiry, which is a clock."""
    cookies = {}
    for line in value.split("\n"):
        pair, *attributes = line.split(";")
        name, found, content = pair.partition("=")
        if found:
            flags = sorted(part.strip().lower() for part in attributes if not part.strip().lower().startswith("expires="))
            cookies[name.strip()[:64]] = "; ".join(flags if content.strip(' "') else ["deleted", *flags])
    return cookies
