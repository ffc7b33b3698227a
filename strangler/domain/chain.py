"""Records chained by hash, as in a ledger: each holds the SHA-256 of its predecessor's hash and of its own canonical content.

Whoever changes, takes out or puts in a record breaks every hash after it. What a chain alone can't show is that its end was cut
off, or that all of it was made anew: that takes a head which somebody else remembers (``Head``). After B. Schneier and J. Kelsey,
"Secure audit logs to support computer forensics", 1999, without their forward-secure key: who remembers a head needs no secret.

Nothing here knows a database: an exported chain is judged by the same code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from strangler.domain.digest import canonical_json

GENESIS = "0" * 64
"""What stands in the place of the first record's predecessor."""


class Fault(StrEnum):
    CHANGED = "changed"
    MISSING = "missing"
    CUT_OFF = "cut off"


@dataclass(frozen=True)
class Link:
    """One record. ``content`` is all that was sealed, its number included; ``previous`` and ``hash`` are hexadecimal."""

    id: int
    content: Mapping[str, Any]
    previous: str
    hash: str

    @property
    def holds(self) -> bool:
        return self.hash == seal(self.previous, self.content)


@dataclass(frozen=True)
class Head:
    """The newest record as somebody remembers it; ``where`` says who."""

    id: int
    hash: str
    where: str = ""


@dataclass(frozen=True)
class Break:
    """The first record that is not as it was sealed, and what became of it, in a sentence."""

    id: int
    fault: Fault
    said: str


@dataclass(frozen=True)
class Walk:
    """A chain from end to end: how many, from which number on, up to where it holds, and where it doesn't."""

    count: int
    first: int
    head: Head
    broken: Break | None = None


def seal(previous: str, content: Mapping[str, Any]) -> str:
    """SHA-256 over the predecessor's hash, a line feed and the content as canonical JSON (RFC 8785), in hexadecimal."""
    return hashlib.sha256(f"{previous}\n{canonical_json(dict(content))}".encode()).hexdigest()


def walk(links: Iterable[Link], *, remembered: Sequence[Head] = (), begins: str | None = GENESIS) -> Walk:
    """Judges a chain in order of its numbers. ``begins`` is the hash before its first record; None where it may be an extract."""
    hashes: dict[int, str] = {}
    first, last, broken = 0, Head(0, GENESIS if begins is None else begins), None
    for link in links:
        if not hashes:
            first, last = link.id, last if begins is not None else Head(link.id - 1, link.previous)
        if broken is None:
            broken = _fault(link, last)
        hashes[link.id] = link.hash
        last = Head(link.id, link.hash)
    lowest = first if begins is None else 1  # an extract knows nothing of what came before it
    forgotten = [found for head in remembered if (found := _unlike(head, hashes, lowest, last.id))]
    candidates = sorted([*([broken] if broken else []), *forgotten], key=lambda one: one.id)
    return Walk(len(hashes), first, last, candidates[0] if candidates else None)


def _fault(link: Link, before: Head) -> Break | None:
    if not link.holds:
        return Break(link.id, Fault.CHANGED, f"receipt {link.id} was changed: it is not what its hash was made of")
    if link.previous == before.hash:
        return None
    if link.id > before.id + 1:
        return Break(before.id + 1, Fault.MISSING, f"{_named(before.id + 1, link.id - 1)} missing: {link.id} follows another one")
    return Break(before.id, Fault.CHANGED, f"receipt {before.id} was replaced: receipt {link.id} was sealed after another one")


def _unlike(head: Head, hashes: Mapping[int, str], first: int, last: int) -> Break | None:
    """What a remembered head tells that the chain itself can't."""
    if head.id < first or hashes.get(head.id) == head.hash:
        return None
    if head.id > last:
        return Break(last + 1, Fault.CUT_OFF, f"{_named(last + 1, head.id)} cut off: {head.where} remembers receipt {head.id}")
    if head.id not in hashes:
        return Break(head.id, Fault.MISSING, f"{_named(head.id, head.id)} missing: {head.where} remembers it")
    return Break(head.id, Fault.CHANGED, f"receipt {head.id} was replaced: {head.where} remembers another hash of it")


def _named(first: int, last: int) -> str:
    return f"receipt {first} is" if first == last else f"receipts {first} to {last} are"
