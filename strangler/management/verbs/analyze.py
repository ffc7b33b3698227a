"""``strangler analyze``: what crosses between contexts, what a cut would cost, and what to do about each crossing."""

from __future__ import annotations

import argparse
import difflib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from django.apps import apps
from rich.console import RenderableType

from strangler import conf
from strangler.analysis.collect import PARTS, Progress, collect, silent
from strangler.analysis.reports import document, mermaid
from strangler.analysis.reports.judging import Judged
from strangler.analysis.reports.page import page
from strangler.domain.coupling.atlas import PLATFORM
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.proposal import proposal
from strangler.domain.coupling.proposed_file import additions
from strangler.domain.coupling.quote import Quote, quote
from strangler.domain.coupling.whatif import merged
from strangler.errors import Misuse
from strangler.management import maps
from strangler.management.answer import FAILED, PASS, Answer, Line, Subparsers, verb
from strangler.management.progress import Telling

RECORDED = Path(".strangler/ledger.json")  # as pytest --strangler-ledger has it without a path
MANY = 8  # tables, from which on an app may hold what belongs apart


def add(subparsers: Subparsers) -> None:
    parser = verb(
        subparsers,
        "analyze",
        analyze,
        help="What crosses between contexts, what taking one out would cost, and what to do about each crossing.",
        more="Works on any project; without a strangler.toml each app is a context. With --strict it ends with 1 where something "
        "could not be looked at.",
        example="strangler analyze payments --html map.html",
        anywhere=True,
    )
    parser.add_argument("context", nargs="?", metavar="CONTEXT", help="its extraction quote, and its crossings with remedies")
    parser.add_argument("--all", action="store_true", help="every pair, crossing and skipped thing, not the weightiest alone")
    parser.add_argument("--only", metavar="PARTS", help=f"of {', '.join(PARTS)}: ask nothing else")
    parser.add_argument(
        "--ledger",
        type=Path,
        metavar="FILE",
        help=f"what a test run recorded by pytest --strangler-ledger (default {RECORDED}, if there)",
    )
    parser.add_argument("--strict", action="store_true", help="end with 1 where something was skipped")
    what_if = parser.add_argument_group("what if")
    what_if.add_argument("--move", action="append", default=[], metavar="APP.MODEL=CONTEXT", help="the model were another's")
    what_if.add_argument("--merge", action="append", default=[], metavar="A,B", help="these contexts were one")
    parser.add_argument("--propose", action="store_true", help="contexts for a monolith that has none, from who knows whom")
    parser.add_argument("--write", action="store_true", help="with --propose: append them to strangler.toml")
    parser.add_argument("--mermaid", nargs="?", const="-", metavar="FILE", help="the map for Markdown, to a file or printed")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one page that needs nothing else: the map, down to each line")


def analyze(options: argparse.Namespace) -> Answer:
    only = _only(options)
    moves, merges = _moves(options.move), [_names(each) for each in options.merge]
    if options.write and not options.propose:
        raise Misuse("--write goes with --propose: strangler analyze --propose --write")
    if options.propose and (moves or merges or options.context):
        raise Misuse("--propose looks at the whole project as it is: leave out CONTEXT, --move and --merge")
    options.ledger = options.ledger or _recorded(only)
    with Telling(sys.stderr, quiet=options.json) as telling:
        ledger = _collected(options, only, telling.told)
        judged = Judged(ledger)
        if moves or merges:
            answer = _what_if(options, only, judged, moves, merges, telling.told)
        elif options.propose:
            answer = _proposal(options, only, judged, telling.told)
        else:
            answer = _answer(options, judged)
    shown = [*answer.shown, *_recording(options), *_files(options, judged)]
    if options.mermaid == "-" and not options.json:
        return Answer(answer.data, [Line(mermaid.chart(ledger).rstrip("\n"))], _code(options, ledger))
    return Answer(answer.data, shown, _code(options, ledger))


def _code(options: argparse.Namespace, ledger: Ledger) -> int:
    return FAILED if options.strict and ledger.skipped else PASS


def _only(options: argparse.Namespace) -> Sequence[str]:
    asked = _names(options.only) if options.only else PARTS
    unknown = [part for part in asked if part not in PARTS]
    if unknown or not asked:
        raise Misuse(f"--only takes {', '.join(PARTS)}, not {options.only!r}; for example: strangler analyze --only static")
    if options.ledger and "runtime" not in asked:
        raise Misuse("--ledger is of the runtime part, which --only leaves out")
    if options.ledger and not options.ledger.is_file():
        raise Misuse(f"there is no file {options.ledger}; make it: pytest --strangler-ledger={options.ledger}")
    return asked


def _recorded(only: Sequence[str]) -> Path | None:
    """What the last test run left where it does so by default."""
    return RECORDED if "runtime" in only and RECORDED.is_file() else None


def _recording(options: argparse.Namespace) -> list[RenderableType]:
    return [maps.recorded(options.ledger, time.time() - options.ledger.stat().st_mtime)] if options.ledger else []


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _moves(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for each in given:
        label, sign, context = each.partition("=")
        if not sign or label.count(".") != 1 or not context:
            raise Misuse(f"--move takes APP.MODEL=CONTEXT, not {each!r}; for example: --move shop.Invoice=billing")
        found[label] = context
    return found


def _collected(options: argparse.Namespace, only: Sequence[str], told: Progress, moves: dict[str, str] | None = None) -> Ledger:
    return collect(only=only, recorded=options.ledger, moves=moves, progress=told if not options.json else silent)


def _answer(options: argparse.Namespace, judged: Judged) -> Answer:
    if not options.context:
        return Answer(document.whole(judged), maps.overview(judged, every=options.all))
    one = _quoted(judged.ledger, options.context)
    return Answer(document.of_context(judged, one), maps.context(judged, one, every=options.all))


def _quoted(ledger: Ledger, name: str) -> Quote:
    if name not in ledger.contexts:
        raise Misuse(f"there is no context {name!r}; there are {', '.join(ledger.contexts)}")
    return quote(ledger, name)


def _what_if(
    options: argparse.Namespace,
    only: Sequence[str],
    judged: Judged,
    moves: dict[str, str],
    merges: Sequence[Sequence[str]],
    told: Progress,
) -> Answer:
    """Merging relabels the ledger. A model that moves lays bare what was within one context, so all is collected anew."""
    _check(moves, judged.ledger)
    after = _collected(options, only, told, moves) if moves else judged.ledger
    try:
        for names in merges:
            after = merged(after, names)
    except ValueError as error:
        raise Misuse(str(error)) from error
    names = [options.context] if options.context else [one.context for one in Judged(after).quotes]
    gone = {name: each[0] for each in merges for name in each[1:]}
    pairs = [
        (_quoted(judged.ledger, name), _quoted(after, gone.get(name, name))) for name in names if name in judged.ledger.contexts
    ]
    asked = {"move": moves, "merge": [list(each) for each in merges]}
    return Answer(document.what_if(judged, asked, pairs), maps.what_if(pairs, every=options.all))


def _check(moves: dict[str, str], ledger: Ledger) -> None:
    known = {table.label.lower(): table.label for facts in ledger.contexts.values() for table in facts.tables}
    for label in moves:
        if label.lower() not in known:
            near = difflib.get_close_matches(label.lower(), known, 1)
            raise Misuse(
                f"there is no model {label} of the project's own" + (f"; did you mean {known[near[0]]}?" if near else "")
            )


def _files(options: argparse.Namespace, judged: Judged) -> list[RenderableType]:
    written: list[tuple[Path, str]] = []
    if options.html:
        written.append((options.html, page(judged.ledger, judged.words, Path.cwd().name)))
    if options.mermaid and options.mermaid != "-":
        written.append((Path(options.mermaid), mermaid.chart(judged.ledger)))
    for path, text in written:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Misuse(f"{path} can not be written: {error.strerror}") from error
    return [maps.written(path) for path, _ in written]


def _proposal(options: argparse.Namespace, only: Sequence[str], judged: Judged, told: Progress) -> Answer:
    """Of an app that holds everything each model stands for itself, and all is collected anew."""
    models = apart(judged.ledger)
    judged = Judged(_collected(options, only, told, models)) if models else judged
    found = proposal(judged.ledger)
    file = Path(conf.setting("ESTATE") if apps.ready else conf.DEFAULTS["ESTATE"])
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    try:
        lines = additions(text, found)
    except ValueError as error:
        raise Misuse(str(error)) from error
    if options.write and lines:
        file.write_text(text + lines, encoding="utf-8")
    return Answer(document.proposed(judged, found, lines), maps.proposed(found, lines, file, written=options.write))


def apart(ledger: Ledger) -> dict[str, str]:
    """The models of an app that has more than half of all tables, and many: each as a context of its own, by its label."""
    own = {name: facts for name, facts in ledger.contexts.items() if name != PLATFORM}
    whole = sum(len(facts.tables) for facts in own.values())
    large = [
        facts for facts in own.values() if not facts.declared and len(facts.tables) >= MANY and 2 * len(facts.tables) > whole
    ]
    return {table.label: table.label for facts in large for table in facts.tables}
