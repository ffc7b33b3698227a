"""``strangler rehearse CONTEXT -- pytest``: the project's own tests, with the context's tables fenced as after its cut."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType

from strangler.analysis.rehearsing import record, suite
from strangler.analysis.rehearsing.order import Order
from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.rehearsed import Call, Refusal, Rehearsal
from strangler.domain.coupling.sizes import plural
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, Whole, verb
from strangler.management.maps import escape

SHOWN = 3  # tests of a crossing, calls, statements; all of them: --json
LONGEST = 160
VERBS = {Kind.FOREIGN_WRITE: "writes", Kind.FOREIGN_READ: "reads", Kind.CASCADE: "cascades into"}


def add(subparsers: Subparsers) -> None:
    parser = verb(
        subparsers,
        "rehearse",
        rehearse,
        help="Your own tests as they would end after the cut of a context: its tables are fenced for code outside of it.",
        more="In test databases only; nothing else is touched, and no service is needed. Test code itself may write everywhere. "
        "Ends with 1 where something was refused or a test failed. (Real writes against a service: strangler rehearsal.)",
        example="strangler rehearse payments --baseline -- pytest -q -n 4",
    )
    parser.add_argument("context", metavar="CONTEXT")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="after --: pytest, python manage.py test, make test, …")
    parser.add_argument("--unreachable", action="store_true", help="refuse reads too: as if no copy of its tables were kept here")
    parser.add_argument(
        "--baseline", action="store_true", help="run the tests without the fence first: what fails anyway is told apart"
    )
    parser.add_argument(
        "--strict-tests", action="store_true", help="refuse what the code of other contexts' tests does itself, too"
    )


def rehearse(options: argparse.Namespace) -> Answer:
    order = Order(options.context, "", unreachable=options.unreachable, strict_tests=options.strict_tests)
    ran = suite.rehearse(order, options.command, baseline=options.baseline, apart=options.json)
    document = record.document(ran.rehearsal, options.command, ran.code, unreachable=options.unreachable)
    file = record.write(document)
    data = {**document, **_details(ran.rehearsal), "file": str(file)}
    shown = [*_shown(ran.rehearsal, ran.code), Whole(f"kept in {escape(str(file))}, for the gate rehearsal")]
    return Answer(data, shown, PASS if ran.rehearsal.is_clean and ran.code == 0 else FAILED)


def _details(found: Rehearsal) -> dict[str, Any]:
    return {
        "crossings": [one.to_json() for one in found.refusals],
        "calls": [one.to_json() for one in found.calls],
        "failed_tests": list(found.failed),
        "failed_otherwise": list(found.others),
        "failing_anyway": None if found.anyway is None else list(found.anyway),
        "tests_that_write_themselves": found.by_tests,
        "without_code": list(found.nobody),
        "unread": list(found.unread),
    }


def _shown(found: Rehearsal, code: int) -> list[RenderableType]:
    shown: list[RenderableType] = [""]
    for one in found.refusals:
        shown += _refusal(one)
    shown += _calls(found.context, found.calls)
    for texts, why in ((found.nobody, "nobody could be named for"), (found.unread, "the parser does not know")):
        if texts:
            shown.append(Whole(escape(f"not judged, because {why}: {_some([_short(text) for text in texts])}")))
    if found.anyway:
        shown.append(Whole(escape(f"{plural(len(found.anyway), 'test')} failing anyway: {_some(found.anyway)}")))
    if found.others:
        shown.append(
            Whole(escape(f"{plural(len(found.others), 'test')} failing though nothing was refused there: {_some(found.others)}"))
        )
    sign = "[green]✓[/]" if found.is_clean and code == 0 else "[red]✗[/]"
    return [*shown, Whole(f"{sign} {escape(_summary(found, code))}")]


def _summary(found: Rehearsal, code: int) -> str:
    ran = f"{found.context}: {plural(found.tests, 'test')} ran behind its fence"
    if not found.refusals:
        rest = "" if code == 0 else f"; the command ended with {code}"
        return f"{ran}, nothing was refused{rest}"
    seams = sum(one.seam for one in found.refusals)
    mended = {test for one in found.refusals for test in one.tests} - {
        test for one in found.refusals if not one.seam for test in one.tests
    }
    return (
        f"{ran}; {_do(found.refused, 'meet', 'meets')} it, at {plural(len(found.refusals), 'crossing')}; "
        f"seams mend {seams} of them, and with that {plural(len(mended), 'test')}"
    )


def _refusal(one: Refusal) -> list[RenderableType]:
    edge = one.edge
    head = f"{_do(one.tests, 'meet', 'meets')} it  {edge.source} → {edge.target}  {VERBS[edge.kind]} {edge.what}  {edge.where}"
    lines = [_short(f"{proof.file}:{proof.line}  {proof.text}" if proof.line else proof.text) for proof in edge.evidence[:SHOWN]]
    lines.append(f"{'a seam mends it' if one.seam else 'no seam mends it'}: {one.remedy}")
    lines.append(f"first: {_some(one.tests)}")
    if one.passed:
        lines.append(f"something swallows the error, and {_do(one.passed, 'pass', 'passes')} all the same: {_some(one.passed)}")
    return [Whole(f"[bold]{escape(head)}[/]"), *(Whole(f"    {escape(line)}") for line in lines)]


def _calls(context: str, calls: Sequence[Call]) -> list[RenderableType]:
    """Not refused: their statements are the context's own. Those that write are the remote calls of after the cut."""
    agreed, inside = [one for one in calls if one.agreed], [one for one in calls if not one.agreed]
    shown: list[RenderableType] = []
    if agreed:
        remote = f"{sum(one.writes for one in agreed)} of them write: remote calls, after the cut"
        shown.append(Whole(escape(f"{plural(len(agreed), 'place')} outside call {context} by its contract; {remote}")))
    if inside:
        told = _some([f"{one.where} → {one.what}" for one in inside])
        shown.append(Whole(escape(f"{plural(len(inside), 'place')} outside call {context} past its contract: {told}")))
    return shown


def _do(tests: Sequence[str], plainly: str, alone: str) -> str:
    return f"{plural(len(tests), 'test')} {alone if len(tests) == 1 else plainly}"


def _some(listed: Sequence[str]) -> str:
    more = f", and {len(listed) - SHOWN} more (--json)" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"
