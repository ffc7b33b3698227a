"""A recorded write and its rehearsal, compared: the answers, and what became of the rows.

The same write done again is not the same in all: ids come from a sequence that goes on, and clocks do. Two rules, no more:

- *A key that was made* by the write: rows that both have inserted into a collection are paired, in order where the keys are not
  the same. Where a value on one side is (or holds) the key of its row and the other the key of the paired row, they are the same.
- *A moment of the write*: two timestamps that each lie within its own run, give or take ``SKEW``, are the same.

Everything else that differs is shown. Pure.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strangler.domain.parity.answers import Answer
from strangler.domain.parity.compare import compare
from strangler.domain.parity.difference import Difference, Kind
from strangler.domain.parity.rules import NO_RULES, Ruleset

SKEW = dt.timedelta(seconds=5)
WORD = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|\w+")
Effect = Mapping[str, Any]
"""``collection``, ``key``, ``kind`` (insert, update, delete), ``before``, ``after`` (column → wire value, or None)."""
HEADERS = ("content-type", "location", "allow")


@dataclass(frozen=True)
class Run:
    """One execution of the write. ``began``, ``ended``: aware, by the clock of who ran it."""

    answer: Answer
    effects: Sequence[Effect]
    began: dt.datetime
    ended: dt.datetime


def unlike(recorded: Run, rehearsed: Run, rules: Ruleset = NO_RULES) -> list[Difference]:
    """What differs: fields of the answer as in the parallel run, then ``row COLLECTION.column``, each once."""
    same = _Same(recorded, rehearsed, _made(recorded.effects, rehearsed.effects))
    answers = compare(recorded.answer, rehearsed.answer, rules, HEADERS)
    found = {(one.field, one.kind): one for one in answers if not same.texts(one)}
    for one in _rows(recorded.effects, rehearsed.effects, same):
        if not rules.ignores(one.field):
            found.setdefault((one.field, one.kind), one)
    return list(found.values())


def _made(old: Sequence[Effect], new: Sequence[Effect]) -> dict[tuple[str, str], str]:
    """(collection, key that the rehearsal made) → key of the recorded row that it is paired with."""
    pairs: dict[tuple[str, str], str] = {}
    for collection in dict.fromkeys(effect["collection"] for effect in old):
        olds, news = (
            [str(effect["key"]) for effect in side if effect["collection"] == collection and effect["kind"] == "insert"]
            for side in (old, new)
        )
        if set(olds) != set(news):  # not keys that the request itself determines
            pairs.update({(collection, key): other for key, other in zip(news, olds, strict=False)})
    return pairs


def _rows(old: Sequence[Effect], new: Sequence[Effect], same: _Same) -> Iterator[Difference]:
    theirs = {(effect["collection"], same.key(effect["collection"], str(effect["key"]))): effect for effect in new}
    for effect in old:
        place = (effect["collection"], str(effect["key"]))
        other = theirs.pop(place, None)
        where = f"row {effect['collection']}"
        if other is None:
            yield Difference(where, Kind.MISSING, f"{effect['kind']} of {effect['key']}", None)
        elif effect["kind"] != other["kind"]:
            yield Difference(where, Kind.TYPE, f"{effect['kind']} of {effect['key']}", f"{other['kind']} of {other['key']}")
        else:
            for when in ("before", "after"):
                suffix = " (before)" if when == "before" else ""
                for path, was, is_now in _leaves(effect[when], other[when], ""):
                    if not same.values(was, is_now):
                        yield Difference(f"{where}{path}{suffix}", Kind.VALUE, str(was), str(is_now))
    for (collection, _), other in theirs.items():
        yield Difference(f"row {collection}", Kind.EXTRA, None, f"{other['kind']} of {other['key']}")


def _leaves(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in {**old, **new}:
            yield from _leaves(old.get(name, ABSENT), new.get(name, ABSENT), f"{path}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for one, other in zip(old, new, strict=True):
            yield from _leaves(one, other, f"{path}[*]")
    elif old != new or isinstance(old, bool) is not isinstance(new, bool):
        yield path, old, new


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


@dataclass(frozen=True)
class _Same:
    """Whether two values that differ are the same all the same."""

    recorded: Run
    rehearsed: Run
    made: Mapping[tuple[str, str], str]

    def key(self, collection: str, key: str) -> str:
        return self.made.get((collection, key), key)

    def texts(self, difference: Difference) -> bool:
        """Of the answer's text only what could be shown is looked at, so nothing that was cut."""
        old, new = difference.old, difference.new
        if difference.kind is not Kind.VALUE or old is None or new is None or "…" in (old[-1:], new[-1:]):
            return False
        return self.values(old.strip('"'), new.strip('"'))

    def values(self, old: Any, new: Any) -> bool:
        if old is ABSENT or new is ABSENT or old is None or new is None:
            return False
        one, other = str(old), str(new)
        return self._hold_the_same_keys(one, other) or (
            self._in(one, self.recorded.began, self.recorded.ended)
            and self._in(other, self.rehearsed.began, self.rehearsed.ended)
        )

    def _hold_the_same_keys(self, one: str, other: str) -> bool:
        """Word by word: the same, or the key of a row and that of the row which it is paired with."""
        pairs = {(made, recorded) for (_, made), recorded in self.made.items()}
        olds, news = WORD.findall(one), WORD.findall(other)
        if WORD.sub("", one) != WORD.sub("", other) or len(olds) != len(news):
            return False
        return all(old == new or (new, old) in pairs for old, new in zip(olds, news, strict=True))

    @staticmethod
    def _in(text: str, began: dt.datetime, ended: dt.datetime) -> bool:
        if len(text) < 19:
            return False
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            return False
        moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return began - SKEW <= moment <= ended + SKEW
