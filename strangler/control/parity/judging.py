"""One sample judged: what really differs, what was only in flight, what the owner itself does not answer twice alike.

A field differs if the service's answer differs in it from the owner's, the owner answers it twice alike around the service's
answer (P29: the source is equal before and after reading the destination), and, where a row may have been on its way, all that is
so again after the watermark passed. What is gone then was in flight. A service's 5xx is never that: a user would have had it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from strangler.control.parity.batches import Sample
from strangler.domain.parity.answers import Answer
from strangler.domain.parity.difference import Difference, Shape, shape

Compare = Callable[[Answer, Answer], list[Difference]]
UNJUDGED = ("stale", "unreachable", "unidentified", "large", "failed", "dropped")


@dataclass(frozen=True)
class Judgement:
    """``outcome``: ``equal``, ``different``, ``in flight``, or one of ``UNJUDGED``. ``noise``: None where it was not asked for.

    ``unsteady``: what differed at first, and the owner from itself as well. ``differences`` are those of ``pair``, to be shown.
    """

    outcome: str
    shape: Shape = ()
    noise: Shape | None = None
    unsteady: Shape = ()
    differences: tuple[Difference, ...] = ()
    pair: tuple[Answer, Answer] | None = None


def judge(sample: Sample, compare: Compare) -> Judgement:
    answers = sample.answers
    if sample.outcome in UNJUDGED:
        return Judgement(sample.outcome)
    noise: Shape | None = () if sample.noise else None
    if sample.noise and "again" in answers:
        noise = shape(compare(answers["old"], answers["again"]))
    if sample.outcome == "equal":
        return Judgement("equal", noise=noise)
    outcome, differences, unsteady, pair = _difference(sample, answers, compare)
    return Judgement(outcome, shape(differences), noise, tuple(sorted(unsteady)), tuple(differences), pair)


def _difference(
    sample: Sample, answers: Mapping[str, Answer], compare: Compare
) -> tuple[str, list[Difference], set[str], tuple[Answer, Answer] | None]:
    old, new = answers["old"], answers["new"]
    again = answers.get("again", old)
    first = compare(old, new)
    if not first:
        return "equal", [], set(), None
    if new.status >= 500 > old.status:
        return "different", first, set(), (old, new)
    met = {one.field for one in first}
    unsteady, then = met & _fields(compare(old, again)), _fields(compare(again, new))
    lasting = (met & then) - unsteady
    if sample.settled is False:
        return ("stale" if lasting else "in flight" if met - then else "equal"), [], unsteady, None
    if "old later" not in answers:
        return ("different" if lasting else "equal"), [one for one in first if one.field in lasting], unsteady, (old, new)
    old_later, new_later = answers["old later"], answers["new later"]
    in_the_end, moved = compare(old_later, new_later), _fields(compare(again, old_later))
    lasting &= _fields(in_the_end) & _fields(compare(again, new_later)) - moved
    if lasting:
        return "different", [one for one in in_the_end if one.field in lasting], unsteady, (old_later, new_later)
    return ("in flight" if met - _fields(in_the_end) - moved else "equal"), [], unsteady, None


def _fields(differences: list[Difference]) -> set[str]:
    return {one.field for one in differences}
