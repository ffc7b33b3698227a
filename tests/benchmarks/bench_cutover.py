"""Cut-overs and rollbacks of a real estate under load: what they cost those who write meanwhile, and whether anybody notices.

Proxy, monolith, service and workers as processes; users who browse, order, pay and take it back, a third of their requests writes
of the context. The pause is the receipt's: from the hold to the last acknowledgement of the flip; those of attempts
that undid themselves included. The load is what two cores carry, who make it included: beyond it everything waits for a
processor, and that would be measured. ``--pairs N --rate N --users N --seconds N``; ``--smoke``: two pairs, a little load.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.local.demo.journal import Journal
from deploy.local.demo.operator import CommandFailed, Operator
from deploy.local.demo.traffic import Mix, Traffic
from deploy.local.supervisor import Estate
from strangler.control.handover import PAUSED
from tests.benchmarks.figures import Figure

PAIRS, RATE, USERS = 30, 40.0, 20
ASKED, WRITES_ASKED = 300.0, 100.0  # a second, on a machine that carries them
THIRD = Mix(browse=5, storefront=0, own_pages=0, checkout=10, pay_later=5, refund=15, log_in=0)  # 90 requests, 30 payments
TARGET_MS, BETWEEN_S, PATIENCE_S = 250.0, 0.5, 900.0
STEPS = (*PAUSED, "confirm", "flip")

BOUND = ("--max-pause", "2s")  # it is measured how long it takes, not how often it is given up
THERE = ("advance", "payments", *BOUND, "--override", "errors", "--override", "latency")  # a busy machine is no reason to wait
BACK = ("rollback", "payments", *BOUND)

Receipts = list[Mapping[str, Any]]


def measure(words: Sequence[str] = ()) -> list[Figure]:
    options = _options(words)
    directory = Path(tempfile.mkdtemp(prefix="strangler-bench-"))
    directory.chmod(0o711)
    try:
        with Estate(state_dir=directory, ports="free", quiet=True) as estate, Operator(estate.env("monolith")) as operator:
            operator.run("advance", "payments", "--to", "canary", "--percent", "100")
            journal = Journal()
            with Traffic(estate.url, journal, rate=options.rate, users=options.users, limit_s=2 * PATIENCE_S, mix=THIRD):
                began = time.monotonic()
                journal.enter("measured")
                receipts = _there_and_back(operator, options.pairs, options.seconds)
                seconds = time.monotonic() - began
                journal.enter("after")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return figures(receipts, journal, seconds)


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-cutover")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--seconds", type=float, default=PATIENCE_S, help="then it ends with what was done")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args(list(words))
    if options.smoke:
        options.pairs, options.rate, options.users = 2, 15.0, 3
    return options


def _there_and_back(operator: Operator, pairs: int, seconds: float) -> Receipts:
    """Every receipt, of attempts that undid themselves too. One that does not succeed at all is begun again."""
    done, end = 0, time.monotonic() + seconds
    while done < 2 * pairs and time.monotonic() < end:
        try:
            operator.run(*(BACK if done % 2 else THERE), "--why", "a benchmark")
            done += 1
        except CommandFailed as failed:
            print(f"again: {failed}")
        time.sleep(BETWEEN_S)
    listed = operator.run("receipts", "payments", "--limit", "10000")["receipts"]
    return [receipt for receipt in listed if receipt["why"] == "a benchmark"]  # type: ignore[attr-defined]


def figures(receipts: Iterable[Mapping[str, Any]], journal: Journal, seconds: float) -> list[Figure]:
    """Of the hand-overs and of the traffic meanwhile; a target's peer is the limit itself."""
    listed = [receipt for receipt in receipts if receipt["pause_ms"] is not None]
    done = [receipt for receipt in listed if receipt["outcome"] == "done"]
    if not done:
        raise SystemExit("no hand-over went through; the machine is too busy, or something is broken")
    pauses = sorted(float(receipt["pause_ms"]) for receipt in listed)
    seen = journal.figures["measured"]
    failed = sum(stage.failed for stage in journal.figures.values())
    print(
        f"{len(done)} hand-overs in {seconds:.0f} s, {len(listed) - len(done)} attempts undid themselves; meanwhile"
        f" {seen.requests / seconds:.0f} requests/s, {seen.payment_writes / seconds:.0f} of them writes of the context"
    )
    for failure in journal.failures[:5]:
        print(f"failed: {failure.request}: {failure.reason}")
    return [
        Figure("requests failed, + 1", failed + 1.0, "none, + 1", 1.0, "", 1.0),
        Figure("stale reads of one's own writes, + 1", len(journal.stale_reads) + 1.0, "none, + 1", 1.0, "", 1.0),
        Figure("write pause, p50", statistics.median(pauses), "limit", TARGET_MS, "ms"),
        Figure("write pause, p99", percentile(pauses, 0.99), "limit", TARGET_MS, "ms", 1.0),
        *(_step(step, done) for step in STEPS),
        Figure("requests", seen.requests / seconds, "asked for", ASKED, "1/s", least=0.9),
        Figure("writes of the context", seen.payment_writes / seconds, "asked for", WRITES_ASKED, "1/s", least=0.9),
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the sorted values do not exceed."""
    return values[max(0, -(-int(share * 100) * len(values) // 100) - 1)]


def _step(step: str, receipts: Sequence[Mapping[str, Any]]) -> Figure:
    took = [float(receipt["steps_ms"][step]) for receipt in receipts if step in receipt["steps_ms"]]
    return Figure(f"step {step}, median", statistics.median(took), "limit", TARGET_MS, "ms")
