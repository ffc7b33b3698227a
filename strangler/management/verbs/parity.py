"""``strangler parity``: what the parallel run found, an example side by side, rules that noise proposes, a new beginning."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from rich.markup import escape

from strangler import conf
from strangler.control import receipts
from strangler.control.parity import report as reporting
from strangler.control.parity import window
from strangler.control.parity.models import ParityPair
from strangler.control.parity.report import Report
from strangler.control.status import operator
from strangler.errors import Misuse
from strangler.management import pairs, render
from strangler.management.answer import FAILED, PASS, Answer, Subparsers, Whole, verb

HEAD: tuple[str, ...] = ("", "endpoint, field", "differ", "of", "share", "interval", "noise", "owner p50/p95", "service", "pairs")
USAGE = "%(prog)s [CONTEXT | show ID | proposals [CONTEXT] | reset CONTEXT --why TEXT] [--json]"


def add(subparsers: Subparsers) -> None:
    parser = verb(
        subparsers,
        "parity",
        parity,
        help="How often the service's answers equal the monolith's, by endpoint and field, beside the monolith's own noise.",
        more="Ends with 1 where a field differs beyond its noise, or where a CONTEXT is asked for of which nothing was compared "
        "yet. `show ID`: one pair side by side. `proposals`: rules for what the monolith answers differently each time, as TOML. "
        "`reset`: count anew from now, for a service that was mended.",
        example="strangler parity payments",
    )
    parser.usage = USAGE
    parser.add_argument("words", nargs="*", metavar="CONTEXT", help="all contexts without it")
    parser.add_argument("--why", default="", metavar="TEXT", help="of a reset: what has changed; kept in a receipt")


def parity(options: argparse.Namespace) -> Answer:
    match options.words:
        case ["show", number] if number.isascii() and number.isdigit():
            return _show(int(number))
        case ["show", *_]:
            raise Misuse("say which pair: strangler parity show 7; the ids stand in `strangler parity`")
        case ["proposals", *names] if len(names) < 2:
            return _proposals(names)
        case ["reset", name]:
            return _reset(name, options.why)
        case ["reset"]:
            raise Misuse('say which context: strangler parity reset payments --why "…"')
        case [] | [_]:
            return _report(options.words)
    raise Misuse(f"{' '.join(options.words)!r} is too much; for example: strangler parity payments")


def _names(given: list[str]) -> list[str]:
    """The contexts that have a service to compare with."""
    return given or [name for name, context in conf.estate().contexts.items() if context.service_urls]


def _report(given: list[str]) -> Answer:
    reports = [reporting.report(name) for name in _names(given)]
    shown = [line for one in reports for line in _shown(one)] or ["no context has a service to compare with"]
    failed = any(one.differs for one in reports) or bool(given and not reports[0].seen.samples)
    data = reports[0].to_json() if given else {"contexts": [one.to_json() for one in reports]}
    return Answer(data, shown, FAILED if failed else PASS)


def _shown(one: Report) -> list[Any]:
    seen = one.seen
    if not one.endpoints:
        return [f"{render.heading(one.context)} nothing was compared yet; reads are from stage shadow on, where a proxy runs"]
    more = [f"{count:,} {what}" for count, what in ((seen.in_flight, "in flight"), (seen.unjudged, "not judged")) if count]
    counted = f"{_percent(seen.rate)} of {seen.samples:,} samples equal ({_percent(seen.low)} to {_percent(seen.high)})"
    head = f"{render.heading(one.context)} {escape(', '.join([counted, *more]))}"
    rows = [HEAD]
    for endpoint in one.endpoints:
        rows += _rows(endpoint)
    last = [f"one pair side by side: strangler parity show {number}" for number in _first_pair(one)]
    return [head, render.grid(rows, indent=0), *last]


def _rows(one: reporting.EndpointSeen) -> list[tuple[str, ...]]:
    sign = "✗" if any(each.different for each in one.fields) else "✓" if one.samples else "?"
    service = _ms(one.new_ms) + (" slower" if one.slower else "")
    share, low, high = one.rate
    interval = f"{_percent(1 - high)} to {_percent(1 - low)}"
    differing = round((1 - share) * one.samples) if one.samples else 0
    counts = (f"{differing:,}", f"{one.samples:,}", _percent(1 - share) if one.samples else "–", interval)
    noise = f"of {one.noise_samples:,}" if one.noise_samples else "–"
    rows: list[tuple[str, ...]] = [(sign, one.endpoint, *counts, noise, _ms(one.old_ms), service, "")]
    for each in one.fields:
        share, low, high = each.rate
        noise = f"{_percent(each.noise[0])} (to {_percent(each.noise[2])})" if each.noise else "not known"
        ids = " ".join(map(str, each.examples))
        cells = (f"{each.differing:,}", f"{each.samples:,}", _percent(share), f"{_percent(low)} to {_percent(high)}", noise)
        rows.append(("✗" if each.different else "~", f"  {each.field}", *cells, "", "", ids))
    return rows


def _percent(share: float) -> str:
    text = f"{100 * share:.2f}" if 0 < share < 0.01 or 0.99 < share < 1 else f"{100 * share:.1f}"
    return f"{text.rstrip('0').rstrip('.')} %"


def _ms(pair: tuple[float | None, float | None]) -> str:
    return "–" if pair[0] is None else f"{pair[0]:.0f}/{pair[1]:.0f} ms"


def _first_pair(one: Report) -> list[int]:
    return [each.examples[0] for endpoint in one.endpoints for each in endpoint.fields if each.different and each.examples][:1]


def _show(number: int) -> Answer:
    found = reporting.pair(number)
    return Answer(_pair_json(found), pairs.shown(found))


def _pair_json(found: ParityPair) -> dict[str, Any]:
    names = ("context", "endpoint", "method", "target", "differences", "old", "new")
    return {"id": found.pk, "at": found.at.isoformat(), **{name: getattr(found, name) for name in names}}


def _proposals(given: list[str]) -> Answer:
    found = [(name, one) for name in _names(given) for one in reporting.proposals(name)]
    data = [
        {"context": name, "rule": asdict(one.rule), "evidence": asdict(one.evidence), "toml": reporting.toml(name, one)}
        for name, one in found
    ]
    if not found:
        return Answer({"proposals": []}, ["nothing to propose: no field differs from itself, as far as was asked"])
    shown = [Whole(escape(reporting.toml(name, one) + "\n")) for name, one in found]
    return Answer({"proposals": data}, ["paste into strangler.toml what you agree with; nothing was changed\n", *shown])


def _reset(name: str, why: str) -> Answer:
    receipt = window.reset(name, who=operator(), why=why)
    said = f"✓ {name}: what was sampled before now counts no more (receipt {receipt.pk})"
    return Answer({"receipt": receipts.to_json(receipt)}, [escape(said)])
