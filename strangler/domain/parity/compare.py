"""Two answers to the same request compared, field by field.

Where the status differs nothing else is compared: an error page differs from its answer in everything, which says no more. Bodies
with the same digest are the same. JSON is compared by value, HTML by what a reader sees, other text by lines, the rest by digest.
"""

from __future__ import annotations

from strangler.domain.parity.answers import Answer, decoded
from strangler.domain.parity.difference import Difference, Found, Kind
from strangler.domain.parity.header_diff import HEADERS, header_differences
from strangler.domain.parity.html_blocks import html_differences
from strangler.domain.parity.json_diff import json_differences
from strangler.domain.parity.json_values import parse
from strangler.domain.parity.rules import NO_RULES, Ruleset

__all__ = ["HEADERS", "compare"]

ROOT = "body $"


def compare(old: Answer, new: Answer, rules: Ruleset = NO_RULES, headers: tuple[str, ...] = HEADERS) -> list[Difference]:
    """What differs, each (field, kind) once, in the order it was met. Never raises, whatever the bytes; bounded in time."""
    found = Found()
    if old.status != new.status and not rules.ignores("status"):
        found.add("status", Kind.VALUE, str(old.status), str(new.status))
        return found.all()
    header_differences(old.headers, new.headers, headers, rules, found)
    if old.digest != new.digest or _coding(old) != _coding(new):
        _bodies(old, new, rules, found)
    return [difference for difference in found.all() if not rules.ignores(difference.field)]


def _coding(answer: Answer) -> str:
    return answer.headers.get("content-encoding", "")


def _bodies(old: Answer, new: Answer, rules: Ruleset, found: Found) -> None:
    one, other = old.content(), new.content()
    if one is None or other is None:
        if old.digest != new.digest:
            _digests(old, new, found)
    elif one != other:
        form, another = _form(old), _form(new)
        if form != another:
            found.add("body", Kind.TYPE, form, another)
        elif form == "json":
            _json(one, other, rules, found)
        elif form == "html":
            html_differences(decoded(one, old.charset), decoded(other, new.charset), found, rules)
        elif form == "text":
            _lines(decoded(one, old.charset), decoded(other, new.charset), found)
        else:
            _digests(old, new, found)


def _form(answer: Answer) -> str:
    kind = answer.media_type
    if kind == "application/json" or kind.endswith("+json"):
        return "json"
    if kind in ("text/html", "application/xhtml+xml"):
        return "html"
    return "text" if kind.startswith("text/") or kind.endswith(("/xml", "+xml", "/javascript")) else "bytes"


def _digests(old: Answer, new: Answer, found: Found) -> None:
    shown = [f"{side.length} bytes, sha256 {side.digest.hex()[:16]}" for side in (old, new)]
    found.add("body", Kind.VALUE, *shown)


def _json(old: bytes, new: bytes, rules: Ruleset, found: Found) -> None:
    """By value; as text where either side is no JSON, or nested deeper than can be read."""
    try:
        one, other = parse(old), parse(new)
        if rules.ignores(ROOT):
            return
        if rules.rules:
            one, other = rules.value(one, ROOT), rules.value(other, ROOT)
        json_differences(one, other, ROOT, found)
    except (ValueError, RecursionError):
        _lines(decoded(old), decoded(new), found)


def _lines(old: str, new: str, found: Found) -> None:
    """The first line that differs."""
    olds, news = old.splitlines(), new.splitlines()
    for one, other in zip(olds, news, strict=False):
        if one != other:
            found.add("text", Kind.VALUE, one, other)
            return
    if len(olds) == len(news):  # they differ in how lines end
        found.add("text", Kind.VALUE, repr(old[-40:]), repr(new[-40:]))
    else:
        found.add("text", Kind.LENGTH, f"{len(olds)} lines", f"{len(news)} lines")
