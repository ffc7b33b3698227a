"""Whether the receipts are as they were written: the chain itself, what others remember of it, and the operations beside it.

What finds what:

- a receipt that was changed, replaced, taken out or put in: the chain;
- an end that was cut off, or a chain that was made anew: a head that is remembered elsewhere. Every published route table holds
  the newest one, in the database, in Redis and on each proxy's disk; an export holds them all; ``receipts verify`` prints it;
- the last one cut off before the next table: the operation that ended without it.

Who can write to all of these, and to every export that was ever taken away, is not found.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from django.utils import timezone

from strangler import conf
from strangler.control import chain, publish
from strangler.control.errors import RedisUnavailable
from strangler.control.followers import connect
from strangler.control.models import Operation, Receipt, RouteTableVersion
from strangler.domain.chain import GENESIS, Break, Fault, Head, Link, Walk, walk
from strangler.domain.digest import canonical_json
from strangler.errors import Misuse

COMPARED = ("context", "verb", "who", "why", "from_stage", "from_percent", "to_stage", "to_percent", "outcome")
"""What the record of an operation says too."""


@dataclass(frozen=True)
class Memory:
    """What an export holds of the chain: every receipt's hash and content."""

    links: Mapping[int, Link]
    where: str

    def heads(self) -> list[Head]:
        return [Head(link.id, link.hash, self.where) for link in self.links.values()]


# ---- reading ------------------------------------------------------------------------------------------------------


def links(since: str = "") -> Iterator[Link]:
    """The database's, in order. ``since``: a number (those after it) or a moment. Raises ``Misuse``."""
    found = Receipt.objects.using(_alias()).order_by("id")
    if since.isdecimal():
        found = found.filter(id__gt=int(since))
    elif since:
        found = found.filter(at__gte=_moment(since))
    for receipt in found.iterator(chunk_size=500):
        yield Link(receipt.pk, chain.content(receipt), receipt.previous, receipt.hash)


def line(link: Link) -> str:
    """One of an export's lines: the sealed content, and the two hashes."""
    return canonical_json({**link.content, "previous": link.previous, "hash": link.hash})


def read(path: str) -> Memory:
    """An export. Raises ``Misuse`` that names the line which is none."""
    known: dict[int, Link] = {}
    try:
        for number, text in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            try:
                said = json.loads(text)
                link = Link(int(said["id"]), said, said.pop("previous"), said.pop("hash"))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise Misuse(
                    f"{path}, line {number}, is not a receipt; such a file is written by: strangler receipts export"
                ) from None
            if link.id in known:
                raise Misuse(f"{path}, line {number}, is receipt {link.id} a second time")
            known[link.id] = link
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"{path} can not be read: {error}") from error
    return Memory(known, path)


# ---- judging ------------------------------------------------------------------------------------------------------


def verify(heads: Sequence[Head] = (), memory: Memory | None = None) -> Walk:
    """The database's chain, against every head that is remembered, and against the operations."""
    remembered = [*heads, *_published(), *_carried(), *(memory.heads() if memory else ())]
    told = _unlike_operations()  # what is remembered comes first, so that what ends meanwhile has its receipt in the chain
    walked = walk(links(), remembered=remembered)
    found = [one for one in (told, walked.broken) if one]
    if not found:
        return walked
    broken = min(found, key=lambda one: one.id)
    if memory and (named := _fields(broken, memory)):
        broken = replace(broken, said=f"receipt {broken.id} was changed: {named}")
    return replace(walked, broken=broken)


def verify_file(memory: Memory, heads: Sequence[Head] = ()) -> Walk:
    """An export alone, without the database. It may begin in the middle."""
    ordered = list(memory.links.values())
    begins = GENESIS if ordered and ordered[0].id == 1 else None
    return walk(ordered, remembered=heads, begins=begins)


def _published() -> list[Head]:
    """What each published table remembers, as the database has them."""
    tables = RouteTableVersion.objects.using(_alias()).filter(snapshot__has_key="receipts").order_by("id")
    said = tables.values_list("generation", "version", "snapshot__receipts")
    return [Head(int(head["id"]), str(head["hash"]), f"route table {first}.{second}") for first, second, head in said]


def _carried() -> list[Head]:
    """What the table in Redis remembers, if Redis is there."""
    with contextlib.suppress(RedisUnavailable):
        client = connect()
        try:
            said = publish.carried_snapshot(client)
        finally:
            client.close()
        head = said.get("receipts")
        if isinstance(head, dict) and {"id", "hash"} <= set(head):
            return [Head(int(head["id"]), str(head["hash"]), f"route table {said['generation']}.{said['version']} in Redis")]
    return []


def _unlike_operations() -> Break | None:
    """The first receipt that says other than its operation; or an operation that ended and has none."""
    using = _alias()
    ended = list(Operation.objects.using(using).filter(finished_at__isnull=False).order_by("finished_at", "id"))
    receipts = {receipt.operation: receipt for receipt in Receipt.objects.using(using).iterator(chunk_size=500)}
    found = [one for operation in ended if (one := _unlike(operation, receipts.get(operation.id), receipts.values()))]
    return min(found, key=lambda one: one.id, default=None)


def _unlike(operation: Operation, receipt: Receipt | None, receipts: Collection[Receipt]) -> Break | None:
    if receipt is None:
        before = max((one.pk for one in receipts if one.at <= operation.finished_at), default=0)
        fault = Fault.MISSING if any(one.pk > before for one in receipts) else Fault.CUT_OFF
        what = (
            f"{operation.verb} {operation.context} by {operation.who}, which ended at {operation.finished_at:%Y-%m-%d %H:%M:%S}"
        )
        return Break(before + 1, fault, f"receipt {before + 1} is {fault}: that of {what}")
    unlike = [name for name in COMPARED if getattr(receipt, name) != getattr(operation, name)]
    if not unlike:
        return None
    said = ", ".join(f"{name} is {getattr(receipt, name)!r}, was {getattr(operation, name)!r}" for name in unlike)
    return Break(receipt.pk, Fault.CHANGED, f"receipt {receipt.pk} was changed: {said}, as its operation says")


def _fields(broken: Break, memory: Memory) -> str:
    """Which fields of a changed receipt are other than in the export."""
    if broken.fault is not Fault.CHANGED or broken.id not in memory.links:
        return ""
    was = memory.links[broken.id].content
    now = chain.content(Receipt.objects.using(_alias()).get(id=broken.id))
    unlike = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return ", ".join(f"{name} is {now.get(name)!r}, was {was.get(name)!r}" for name in unlike)


def head_of(text: str) -> Head:
    """``NUMBER:HASH``, as ``receipts verify`` prints it. Raises ``Misuse``."""
    number, _, said = text.partition(":")
    if not number.isdecimal() or len(said) != len(GENESIS):
        raise Misuse(f"--head {text}: a head is NUMBER:HASH, as printed by: strangler receipts verify")
    return Head(int(number), said, "--head")


def _moment(text: str) -> datetime:
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        raise Misuse(f"--since {text}: a day (2026-01-31), a moment (2026-01-31T09:00) or the number of a receipt") from None
    return said if timezone.is_aware(said) else timezone.make_aware(said)


def _alias() -> str:
    return str(conf.setting("DATABASE"))
