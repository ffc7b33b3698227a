"""What a rehearsal of a cut has shown: refusals by crossing, the costliest first, and what would mend each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from strangler.domain.coupling.edges import Edge, Evidence, Kind
from strangler.domain.coupling.plain import Plain
from strangler.domain.coupling.reach import Reach
from strangler.domain.coupling.remedies import advice
from strangler.domain.coupling.remedies.case import Case

FORMAT = "strangler-rehearsal/1"
MOST_BY = 5


@dataclass(frozen=True, slots=True)
class Refusal(Plain):
    """One crossing. ``tests``: in which it was refused; ``passed``: those of them that pass all the same, because something
    swallows the error. ``joined``: tables of others in the same statement. ``seam``: one mends it. ``remedy``: sentences.
    """

    edge: Edge
    tests: tuple[str, ...]
    passed: tuple[str, ...]
    joined: tuple[str, ...]
    seam: bool
    remedy: str


@dataclass(frozen=True, slots=True)
class Call(Plain):
    """Code outside that calls the context's, which uses its tables. ``agreed``: by its contract; one that writes is remote."""

    source: str
    where: str
    what: str
    agreed: bool
    writes: bool
    tests: int


@dataclass(frozen=True)
class Rehearsal(Plain):
    """``tests``: how many ran; ``failed``: those that failed; ``anyway``: of them, those that fail without the fence too, None
    where that was not asked. ``up``: databases that were fenced; ``not_tests``: those that no test runner had made.
    ``by_tests``: tests whose own code uses the tables. ``nobody``: statements that no code could be named for; ``unread``: that
    the parser does not know, and that name a table of the context. Neither was refused. ``code``: how the command ended.
    """

    context: str
    refusals: tuple[Refusal, ...] = ()
    calls: tuple[Call, ...] = ()
    tests: int = 0
    failed: tuple[str, ...] = ()
    anyway: tuple[str, ...] | None = None
    up: tuple[str, ...] = ()
    not_tests: tuple[str, ...] = ()
    by_tests: int = 0
    nobody: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    code: int = 0

    @property
    def refused(self) -> tuple[str, ...]:
        return tuple(sorted({test for one in self.refusals for test in one.tests}))

    @property
    def others(self) -> tuple[str, ...]:
        """Tests that fail though nothing was refused in them."""
        return tuple(sorted({*self.failed} - {*self.refused} - {*(self.anyway or ())}))

    @property
    def is_clean(self) -> bool:
        """Nothing was refused, and it came to its end with no failure but of tests that fail anyway."""
        ended = self.code == 0 or bool(self.anyway)
        return bool(ended and self.tests and self.up) and not (self.refusals or self.others or self.not_tests)


@dataclass
class _Crossing:
    tests: set[str] = field(default_factory=set)
    proofs: dict[Evidence, set[str]] = field(default_factory=dict)
    joined: set[str] = field(default_factory=set)
    origin: str = ""


def rehearsal(
    context: str,
    notes: Iterable[Mapping[str, Any]],
    *,
    before: Iterable[Mapping[str, Any]] | None = None,
    reach: Reach,
    code: int = 0,
) -> Rehearsal:
    """``notes``: of ``analysis.rehearsing``, in any order; ``before``: those of a run without the fence. ``code``: how it ended.
    ``reach``: what is known of the project, for the remedies. A refusal counts once a test.
    """
    told: dict[str, list[Mapping[str, Any]]] = {}
    for note in notes:
        told.setdefault(str(note.get("note")), []).append(note)
    ended = told.get("test", [])
    failed = _tests(ended, "failed")
    return Rehearsal(
        context=context,
        refusals=_refusals(context, told.get("refused", []), _tests(ended, "passed") - failed, reach),
        calls=_calls(told.get("called", [])),
        tests=len({note["test"] for note in ended}),
        failed=tuple(sorted(failed)),
        anyway=None if before is None else tuple(sorted(failed & _tests(before, "failed"))),
        up=_values(told, "up", "database"),
        not_tests=_values(told, "not a test database", "database"),
        by_tests=len(_values(told, "by tests", "test")),
        nobody=_values(told, "nobody", "text"),
        unread=_values(told, "unread", "text"),
        code=code,
    )


def _tests(notes: Iterable[Mapping[str, Any]], outcome: str) -> set[str]:
    return {str(note["test"]) for note in notes if note.get("note") == "test" and note["outcome"] == outcome}


def _values(told: Mapping[str, list[Mapping[str, Any]]], note: str, name: str) -> tuple[str, ...]:
    return tuple(sorted({str(one[name]) for one in told.get(note, [])}))


def _refusals(context: str, notes: Iterable[Mapping[str, Any]], passing: set[str], reach: Reach) -> tuple[Refusal, ...]:
    found: dict[tuple[str, ...], _Crossing] = {}
    for note in notes:
        crossing = found.setdefault(tuple(note["key"]), _Crossing())
        crossing.tests.add(note["test"])
        crossing.proofs.setdefault(Evidence(note["file"], note["line"], note["text"]), set()).add(note["test"])
        crossing.joined.update(note["joined"])
        crossing.origin = crossing.origin or note["origin"]
    listed = [_refusal(context, key, crossing, passing, reach) for key, crossing in found.items()]
    return tuple(sorted(listed, key=lambda one: (-len(one.tests), one.edge.key)))


def _refusal(context: str, key: tuple[str, ...], crossing: _Crossing, passing: set[str], reach: Reach) -> Refusal:
    proofs = sorted(crossing.proofs.items(), key=lambda proof: (-len(proof[1]), proof[0].file, proof[0].line, proof[0].text))
    evidence = tuple(
        Evidence(proof.file, proof.line, proof.text, len(tests), tuple(f"test {test}" for test in sorted(tests)[:MOST_BY]))
        for proof, tests in proofs
    )
    note = f"from {crossing.origin}" if crossing.origin else ""
    edge = Edge(Kind(key[0]), key[1], key[2], key[3], key[4], note, evidence)
    return Refusal(
        edge=edge,
        tests=tuple(sorted(crossing.tests)),
        passed=tuple(sorted(crossing.tests & passing)),
        joined=tuple(sorted(crossing.joined)),
        seam=edge.kind is not Kind.CASCADE and not crossing.joined,
        remedy=_remedy(context, edge, sorted(crossing.joined), reach),
    )


def _remedy(context: str, edge: Edge, joined: list[str], reach: Reach) -> str:
    """A statement over tables of two databases can't be asked of a seam as it is, whatever else is done."""
    advised = advice(edge, context, reach)
    copy = f"keep a read copy here: `strangler retire {context} --keep-copy`"
    if edge.kind is Kind.FOREIGN_WRITE and joined:
        return f"First take {', '.join(joined)} out of the statement: no statement reaches two databases. {advised.instead}"
    if edge.kind is Kind.FOREIGN_READ and joined:
        return f"It joins {', '.join(joined)}, so no seam can answer it; {copy}."
    if edge.kind is Kind.FOREIGN_READ:
        case = Case(edge, context, reach)
        return f"Ask `{case.seam}` of `{case.contract}` for it, once for all ids; or {copy}."
    return advised.instead


def _calls(notes: Iterable[Mapping[str, Any]]) -> tuple[Call, ...]:
    found: dict[tuple[str, str, str, bool], tuple[set[str], set[bool]]] = {}
    for note in notes:
        tests, writes = found.setdefault((note["source"], note["where"], note["what"], note["agreed"]), (set(), set()))
        tests.add(note["test"])
        writes.add(note["writes"])
    listed = [Call(*key, any(writes), len(tests)) for key, (tests, writes) in found.items()]
    return tuple(sorted(listed, key=lambda one: (one.agreed, one.source, one.where, one.what)))
