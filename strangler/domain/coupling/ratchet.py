"""The crossings that are known, each with an owner and a reason, as a file; the code may have neither more of them nor fewer.

A line is a crossing, whole in itself and without line numbers. They are sorted, with a heading for each pair of contexts and an
empty line between two files of code: what two branches add in different files git merges by itself, and where it can't, keeping
both sides is right. Compared both ways, as packwerk's ``package_todo.yml`` is in its strict mode.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from strangler.domain.coupling.edges import RUNTIME, Edge, Kind
from strangler.domain.coupling.natures import Nature, composes, nature, offered, shared

Key = tuple[str, str, str, str, str]
Unseen = Callable[[Key], bool]

MISSING = "?"  # in place of an owner or a reason that nobody has given
HEAD = """\
# Crossings between contexts that are known, each with who owns it and why it is there.
# `strangler ratchet check` fails on one that is not here, and on a line that nothing stands for any more;
# `strangler ratchet update` adds and removes lines, and keeps what is written in those that stay.
# FILE:NAME | kind | source -> target | what | owner | why | until YYYY-MM-DD, which may be left out
"""
DATABASE = (Kind.GENERIC_FOREIGN_KEY, Kind.CONSTRAINT, Kind.DATABASE_VIEW, Kind.TRIGGER)
"""Kinds that depend on the rows and the catalogue of the database that is asked."""
KINDS = frozenset(Kind)
CONFLICT = ("<<<<<<< ", "=======", ">>>>>>> ", "||||||| ")
BARS = re.compile(r"((?:\\.|[^\\|])*)(?:\||$)")
ARROW = re.compile(r"((?:\\.|[^\\])*?)\s->\s(.*)")
ESCAPED = re.compile(r"\\(.)")
BARE_STAR = re.compile(r"(?<!\\)(?:\\\\)*\*")
LETTERS = {"\n": "n", "\r": "r"}
WRITTEN = {letter: char for char, letter in LETTERS.items()} | {"s": " ", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Entry:
    """``line``: in the file, from 1; 0 for one that is in none yet. ``until``: the last day on which it is let be."""

    key: Key
    owner: str = MISSING
    reason: str = MISSING
    until: date | None = None
    line: int = 0

    @property
    def is_told(self) -> bool:
        return MISSING not in (self.owner, self.reason)


@dataclass(frozen=True, slots=True)
class Problem:
    line: int
    what: str


@dataclass(frozen=True)
class Comparison:
    """``unseen``: lines that were not looked for this time, such as those of runtime kinds without a recording."""

    new: tuple[Edge, ...] = ()
    stale: tuple[Entry, ...] = ()
    expired: tuple[Entry, ...] = ()
    untold: tuple[Entry, ...] = ()
    unseen: tuple[Entry, ...] = ()
    known: int = 0

    def holds(self, *, strict: bool = False) -> bool:
        return not (self.new or self.stale or self.expired or (strict and self.untold))


def is_ratcheted(edge: Edge) -> bool:
    """Neither the project's own wiring or shared code, nor a crossing as it should be, nor an accessor that a relation brings."""
    return nature(edge) is not Nature.AGREED and not (composes(edge) or shared(edge) or offered(edge))


def compare(entries: Iterable[Entry], edges: Iterable[Edge], *, today: date, unseen: Unseen) -> Comparison:
    known = {entry.key: entry for entry in entries}
    found = {edge.key: edge for edge in edges if is_ratcheted(edge)}
    here = [known[key] for key in sorted(known.keys() & found.keys(), key=_order)]
    gone = [known[key] for key in sorted(known.keys() - found.keys(), key=_order)]
    kept = [*here, *(entry for entry in gone if unseen(entry.key))]
    return Comparison(
        new=tuple(found[key] for key in sorted(found.keys() - known.keys(), key=_order)),
        stale=tuple(entry for entry in gone if not unseen(entry.key)),
        expired=tuple(entry for entry in kept if entry.until and entry.until < today),
        untold=tuple(entry for entry in kept if not entry.is_told),
        unseen=tuple(entry for entry in gone if unseen(entry.key)),
        known=len(here),
    )


def updated(entries: Iterable[Entry], compared: Comparison, new: Entry) -> tuple[Entry, ...]:
    """What stays as it is, without what is stale; what is new takes owner, reason and end from ``new``."""
    stale = {entry.key for entry in compared.stale}
    stays = [entry for entry in entries if entry.key not in stale]
    return (*stays, *(Entry(edge.key, new.owner, new.reason, new.until) for edge in compared.new))


# ---- the file --------------------------------------------------------------------------------------------------------


def render(entries: Iterable[Entry]) -> str:
    return HEAD + "".join(f"{line}\n" for line in _lines(sorted(entries, key=lambda entry: _order(entry.key))))


def _order(key: Key) -> tuple[str, ...]:
    kind, source, target, where, what = key
    return source, target, _file(where), where, kind, what


def _file(where: str) -> str:
    return where.rpartition(":")[0] or where


def _lines(entries: Iterable[Entry]) -> Iterator[str]:
    pair, file = ("", ""), ""
    for entry in entries:
        _, source, target, where, _ = entry.key
        if (source, target) != pair:
            pair = source, target
            yield f"\n# ---- {_plain(source)} -> {_plain(target)}\n"
        elif _file(where) != file:
            yield ""
        file = _file(where)
        yield _line(entry)


def _line(entry: Entry) -> str:
    kind, source, target, where, what = entry.key
    named = _key(where.removesuffix(":*")) + (":*" if where.endswith(":*") else "")
    fields = [
        f"\\{named}" if named.startswith(("#", "<", "=", ">")) else named,
        kind,
        f"{_key(source)} -> {_key(target)}",
        _key(what),
        _plain(entry.owner) or MISSING,
        _plain(entry.reason) or MISSING,
    ]
    return " | ".join([*fields, f"until {entry.until.isoformat()}"] if entry.until else fields)


def _plain(text: str) -> str:
    inner = re.sub(r"[\\|\n\r]", lambda found: "\\" + LETTERS.get(found[0], found[0]), text)
    return re.sub(r"^[ \t]|[ \t]$", lambda found: "\\" + ("s" if found[0] == " " else "t"), inner)


def _key(text: str) -> str:
    return re.sub(r"[*>]", r"\\\g<0>", _plain(text))


def parse(text: str) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """Entries in the file's order, and what is wrong with which line. Two lines that say the same are one."""
    entries: dict[Key, Entry] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            entry = _entry(line.strip("\r"), number)
        except ValueError as error:
            problems.append(Problem(number, str(error)))
            continue
        same = entries.setdefault(entry.key, entry)
        if (same.owner, same.reason, same.until) != (entry.owner, entry.reason, entry.until):
            problems.append(Problem(number, f"says otherwise of the same crossing than line {same.line}: keep one of them"))
    return tuple(entries.values()), tuple(problems)


def _entry(line: str, number: int) -> Entry:
    if line.startswith(CONFLICT):
        raise ValueError("is a conflict of a merge: take the marks out, and keep the lines of both sides")
    fields = [found[1].strip(" \t") for found in BARS.finditer(line) if found.start() < len(line)]
    if line.endswith("|") and not line.endswith("\\|"):
        fields.append("")
    if not 6 <= len(fields) <= 7:
        raise ValueError(f"has {len(fields)} fields, not FILE:NAME | kind | source -> target | what | owner | why")
    where, kind, pair, what, owner, reason, *until = fields
    arrow = ARROW.fullmatch(pair)
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of crossing" + (": no wildcards, name each" if "*" in kind else ""))
    if arrow is None:
        raise ValueError(f"{pair!r} is not SOURCE -> TARGET")
    for name in (where.removesuffix(":*"), arrow[1], arrow[2], what):
        if BARE_STAR.search(ESCAPED.sub("", name)):
            raise ValueError(f"has a wildcard in {name!r}: each crossing is named, so that none can hide behind another")
    if not where:
        raise ValueError("names no FILE:NAME")
    source, target, where, what, owner, reason = map(_read, (arrow[1], arrow[2], where, what, owner, reason))
    return Entry((kind, source, target, where, what), owner or MISSING, reason or MISSING, _until(until), number)


def _until(fields: list[str]) -> date | None:
    if not fields or not fields[0]:
        return None
    word, _, day = fields[0].partition(" ")
    try:
        if word != "until":
            raise ValueError
        return date.fromisoformat(day.strip())
    except ValueError:
        raise ValueError(f"ends with {fields[0]!r}, not with a day: until 2027-01-31") from None


def _read(text: str) -> str:
    return ESCAPED.sub(lambda found: WRITTEN.get(found[1], found[1]), text)


def unseen_unless(*, recorded: bool, database: bool, read: Callable[[str], bool]) -> Unseen:
    """Which lines can't be stale: of runtime kinds without a recording, of the database's own where it was not asked, and of
    files that could not be ``read``.
    """
    kinds = {*(() if recorded else RUNTIME), *(() if database else DATABASE)}
    return lambda key: key[0] in kinds or not read(_file(key[3]))
