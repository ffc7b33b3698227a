"""Gates over what live traffic shows: parity of the answers, errors and times of the service against the monolith's.

Too few requests prove nothing, neither way. So each has three answers: it fails where the data are sure (at 99 %) to be worse
than allowed, passes where enough were seen and they are within it, and is ``unknown`` in between, saying how many more it takes
and when they will be there. Below the least number it fails only on a ruin, which nobody should wait to see confirmed.

More errors, or more differences, never turn a ``fail`` into anything better.
"""

from __future__ import annotations

import math

from strangler.domain import confidence
from strangler.domain.durations import about
from strangler.domain.gates import ServedSeen, Verdict, _Gate
from strangler.domain.parity.seen import ParitySeen

CERTAIN = 100  # requests come in bursts, and a burst is one event: fewer than this are no proof that the rest is as bad
RUIN = 0.1  # surely more than this share is wrong: that needs no least number
QUANTILE = 0.95


def parity(
    context: str, seen: ParitySeen, *, threshold: float, least: int, share: float, window_s: float, over: bool = False
) -> Verdict:
    """How often the service's answer equals the monolith's. ``share`` of the reads is sampled, in the last ``window_s``.

    ``over``: the service answers all reads itself, so that there is nothing left to sample; the step to here passed this gate.
    """
    gate, allowed = _Gate("parity", _wants(f"≥ {percent(threshold)}", least, "samples")), 1 - threshold
    rate = seen.samples_per_s
    if not seen.samples and not over:
        return _nothing(gate, _no_samples(context, share, window_s), least)
    equal = 1 - seen.differing / max(1, seen.samples)
    observed = f"{percent(equal)} of {seen.samples:,}"
    worst = f", worst {seen.worst}" if seen.worst and seen.differing else ""
    basis = f"over {seen.samples:,} samples{worst}"
    surely = confidence.share(seen.differing, seen.samples)[0]
    if surely > max(allowed, RUIN) or (seen.samples >= max(least, CERTAIN) and surely > allowed):
        return gate.fails(observed, f"{percent(equal)} < {percent(threshold)} {basis}")
    if over and seen.samples < max(least, 1):
        return gate.passes(
            observed, f"{seen.samples:,} samples and no more to come at 100 %; the step to it has passed this gate"
        )
    if seen.samples < least:
        return gate.unknown(observed, _needs(context, least, seen.samples, "samples", rate, window_s, "min_samples"))
    if seen.differing / seen.samples > allowed:
        told = _without(seen.differing, allowed, seen.samples, "samples without a difference", rate)
        return gate.unknown(observed, f"{percent(equal)} < {percent(threshold)} {basis}, too few to be sure; {told}")
    return gate.passes(observed, f"{percent(equal)} of the answers are equal {basis}")


def errors(context: str, service: ServedSeen, monolith: ServedSeen, *, allowed: float, least: int) -> Verdict:
    """Reads that the service fails to answer, against those that the monolith fails to."""
    gate = _Gate("errors", _wants(f"≤ monolith + {percent(allowed)}", least, "reads"))
    if not service.requests:
        return _nothing(gate, _no_reads(context, "service", service), least)
    found = service.failed / service.requests
    known = monolith.failed / monolith.requests if monolith.requests else 0.0
    against = f"of the service's {service.requests:,} reads failed, {_against(monolith, percent(known))}"
    base = f", {percent(known)} of {monolith.requests:,}" if monolith.requests else ""
    observed = f"{percent(found)} of {service.requests:,}{base}"
    surely = confidence.excess(service.failed, service.requests, monolith.failed, monolith.requests)[0]
    if surely > max(allowed, RUIN) or (service.requests >= max(least, CERTAIN) and surely > allowed):
        return gate.fails(observed, f"{percent(found)} {against}")
    if service.requests < least:
        return gate.unknown(observed, _needs_reads(context, "service", service, least))
    if found - known > allowed:
        told = _without(service.failed, known + allowed, service.requests, "reads without a failure", service.per_s)
        return gate.unknown(observed, f"{percent(found)} {against}, too few to be sure; {told}")
    return gate.passes(observed, f"{percent(found)} {against}")


def latency(context: str, service: ServedSeen, monolith: ServedSeen, *, ratio: float, slack_ms: float, least: int) -> Verdict:
    """The time that 95 of 100 reads stay below, of the service against the monolith. Up to ``slack_ms`` more is no matter."""
    gate = _Gate("latency", _wants(f"p95 ≤ {ratio:g} × or + {slack_ms:g} ms", least, "reads"))
    if not service.requests:
        return _nothing(gate, _no_reads(context, "service", service), least)
    if service.requests < least:
        return gate.unknown(f"{service.requests:,} reads", _needs_reads(context, "service", service, least))
    if not monolith.requests:
        return _nothing(gate, _no_base(context), least)
    if monolith.requests < least:
        return gate.unknown(f"{monolith.requests:,} reads", f"{_needs_reads(context, 'monolith', monolith, least)}")
    found, known = _ms(service, QUANTILE), _ms(monolith, QUANTILE)
    observed = f"{found:.0f} ms, {known:.0f} ms"
    when = f", in its {monolith.requests:,} earlier ones" if monolith.earlier else ""
    said = f"95 of 100 reads take up to {found:.0f} ms by the service, {known:.0f} ms by the monolith{when}"
    low = 1000 * confidence.quantile_bounds(service.times, service.bounds, QUANTILE)[0]
    high = 1000 * confidence.quantile_bounds(monolith.times, monolith.bounds, QUANTILE)[1]
    if min(service.requests, monolith.requests) < CERTAIN:
        return gate.passes(observed, f"{said}; fewer than {CERTAIN} show no more")
    if low > max(ratio * high, high + slack_ms):
        return gate.fails(observed, said)
    if found > max(ratio * known, known + slack_ms):
        more = min(service.requests, monolith.requests)  # twice as many bring the bounds nearer by a third
        return gate.unknown(observed, f"{said}, too few to be sure; needs about {_wait(more, 'reads', service.per_s)}")
    return gate.passes(observed, said)


# ---- words ---------------------------------------------------------------------------------------------------------


def percent(share: float) -> str:
    """``0.98671`` → ``98.7 %``; a share just below the whole never reads as the whole, nor one above nothing as nothing."""
    for digits in range(1, 6):
        text = f"{100 * share:.{digits}f}"
        if float(text) not in (0.0, 100.0) or share in (0.0, 1.0):
            break
    return f"{text.rstrip('0').rstrip('.')} %"


def _against(monolith: ServedSeen, known: str) -> str:
    if not monolith.requests:
        return "and of the monolith's nothing is known"
    when = "earlier " if monolith.earlier else ""
    return f"{known} of the monolith's {when}{monolith.requests:,}"


def _nothing(gate: _Gate, said: str, least: int) -> Verdict:
    """Nothing was seen. Unknown, unless the estate file says that nothing need be."""
    if least:
        return gate.unknown("none", said)
    return gate.passes("none, none asked for", f"nothing was seen, and strangler.toml asks for no least number: {said}")


def _no_samples(context: str, share: float, window_s: float) -> str:
    if not share:
        return f"no reads of {context} are sampled: set contexts.{context}.shadow.share in strangler.toml above 0"
    return f"no reads of {context} were compared in the last {about(window_s)}: is there traffic, and does a proxy run?"


def _no_reads(context: str, side: str, seen: ServedSeen) -> str:
    return f"the {side} served no reads of {context} in the last {about(seen.window_s)}: is there traffic?"


def _no_base(context: str) -> str:
    return (
        f"the monolith served no reads of {context} to compare with; a smaller share for a while would show them,"
        f" or go on without: strangler advance {context} --override latency --why …"
    )


def _needs_reads(context: str, side: str, seen: ServedSeen, least: int) -> str:
    return _needs(context, least, seen.requests, f"reads by the {side}", seen.per_s, seen.window_s, "min_requests")


def _needs(context: str, least: int, have: int, what: str, per_s: float, window_s: float, setting: str) -> str:
    """What is missing and when it will be there; or that at this rate it never will, and what to do then."""
    said = f"needs {_wait(least - have, what, per_s)}"
    if per_s * window_s >= least:
        return said
    window = "parity_window" if setting == "min_samples" else "window"
    come = f"at this rate only {per_s * window_s:,.0f} come in {about(window_s)}"
    return (
        f"needs {least - have:,} more {what}, but {come}: wait for more traffic,"
        f" or set {setting} or {window} below contexts.{context}.gates"
    )


def _wait(more: int, what: str, per_s: float) -> str:
    return f"{more:,} more {what}" + (f"; at this rate {about(more / per_s)}" if per_s else "; none come just now")


def _without(count: int, allowed: float, have: int, what: str, per_s: float) -> str:
    """What it takes for the count to be within what is allowed; if it rises meanwhile, the gate fails."""
    total = math.ceil(count / allowed) if allowed else CERTAIN
    return f"needs {_wait(max(1, total - have), what, per_s)}"


def _wants(what: str, least: int, of: str) -> str:
    return f"{what}, {least:,} {of}" if least else what


def _ms(seen: ServedSeen, q: float) -> float:
    return 1000 * confidence.quantile(seen.times, seen.bounds, q)
