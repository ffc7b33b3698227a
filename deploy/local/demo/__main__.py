"""``make demo``: the whole way there and back, with a proof at the end. Ends with 0 only if all of it holds."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict

import psycopg
from rich.console import Console

from deploy.local.demo import display, proof
from deploy.local.demo.journal import Journal
from deploy.local.demo.operator import CommandFailed, Operator
from deploy.local.demo.traffic import Mix, Traffic
from deploy.local.errors import CannotStart
from deploy.local.supervisor import STATE_DIR, Estate, clear

THERE = ("mirror", "shadow", "canary 10", "canary 50", "canary 100", "live")
WAY = (*THERE, "monolith", *THERE)
TRAFFIC_GATES = ("parity", "errors", "latency")
MIN_RATE, MIN_PAYMENT_WRITES, MAX_PAUSE_MS = 100, 20, 500
FLAT_OUT, TRIED_S = 10_000, 4.0
SHARE, LEAST, MOST = (
    0.3,
    10,
    108,
)  # of what the shop carries by itself: moving rows takes its part too, and so do the users of this demo
LAG = "SELECT max(lag_ms) FROM strangler_stream WHERE state = 'live'"


class Demo:
    def __init__(self, estate: Estate, operator: Operator, console: Console, *, rate: float, users: int, dwell: float) -> None:
        self.estate, self.strangler, self.console = estate, operator.run, console
        self.users, self.dwell = users, dwell
        self.asked, self.rate = rate, rate or 0.0
        self.journal = Journal()
        self.transitions: list[display.Transition] = []
        self.seconds = 0.0
        self.shown: dict[str, str] = {}  # gate: what live traffic had shown of the service at the last step that asked for it

    def lag(self) -> float | None:
        with suppress(psycopg.Error), psycopg.connect(self.estate.database_url("monolith"), connect_timeout=2) as connection:
            row = connection.execute(LAG).fetchone()
            return None if row is None else row[0]
        return None

    def run(self) -> list[proof.Finding]:
        mix = Mix()
        if self.asked is None:
            carried = self.carried()
            self.rate = float(round(max(LEAST, min(MOST, SHARE * carried))))
            self.console.print(
                f"The shop by itself carries {carried:.0f} requests/s on this machine, and is asked for {SHARE:.0%}."
            )
        self.console.print(f"Traffic: {self.rate:g} requests/s by {self.users} users: {mix}")
        started = time.monotonic()
        with (
            Traffic(self.estate.url, self.journal, rate=self.rate, users=self.users, mix=mix),
            display.Display(self.console, self.journal, self.lag) as shown,
        ):
            self.stay("monolith", shown)
            for number, target in enumerate(WAY):
                self.move(self.label(number, target), target, shown)
            shown.step("the last users finish")
        self.seconds = time.monotonic() - started
        return [*self.prove(), self.rates(), self.pauses(), self.gates()]

    def carried(self) -> float:
        """Requests a second that the monolith alone answers, flat out, here and now."""
        tried = Journal()
        with Traffic(self.estate.url, tried, rate=FLAT_OUT, users=self.users):
            before, started = tried.requests, time.monotonic()
            time.sleep(TRIED_S)
            return (tried.requests - before) / (time.monotonic() - started)

    @staticmethod
    def label(number: int, target: str) -> str:
        if target == "monolith":
            return "rollback to monolith"
        return target if number < len(THERE) else f"{target} (again)"

    def stay(self, label: str, shown: display.Display) -> None:
        shown.step(label)
        self.journal.enter(label)
        started = time.monotonic()
        time.sleep(self.dwell)
        self.journal.figures[label].seconds += time.monotonic() - started

    def move(self, label: str, target: str, shown: display.Display) -> None:
        """Requests of the way to a stage count as that stage's: what a move costs its users is part of it."""
        self.journal.enter(label)
        shown.step(f"→ {label}")
        started = time.monotonic()
        pause = self.go(target)
        seconds = time.monotonic() - started
        self.transitions.append(display.Transition(label, seconds, pause))
        shown.done(self.transitions[-1])
        self.journal.figures[label].seconds += seconds
        self.stay(label, shown)

    def go(self, target: str) -> float | None:
        if target == "monolith":
            answer = self.strangler("rollback", "payments", "--to", "monolith", "--why", "the demo goes back")
        else:
            stage, _, percent = target.partition(" ")
            share = ["--percent", percent] if percent else []
            answer = self.strangler("advance", "payments", "--to", stage, *share, "--why", "the demo goes on")
        receipts = answer.get("receipts", [answer])
        for verdict in (verdict for receipt in receipts for verdict in receipt["verdicts"]):  # type: ignore[attr-defined]
            if verdict["gate"] in TRAFFIC_GATES and not verdict["observed"].startswith("none"):
                self.shown[verdict["gate"]] = verdict["reason"]
        pauses = [receipt["pause_ms"] for receipt in receipts if receipt.get("pause_ms") is not None]  # type: ignore[attr-defined]
        return max(pauses, default=None)

    def prove(self) -> list[proof.Finding]:
        return proof.look(
            self.journal,
            shop_url=self.estate.database_url("monolith"),
            payments_url=self.estate.database_url("payments"),
            drift=self.drift,
        )

    def drift(self) -> list[str]:
        try:
            report = self.strangler("sync", "verify", "payments")
        except CommandFailed as failure:
            return [str(failure)]
        return [str(row) for row in report.get("differing", [])]  # type: ignore[attr-defined]

    def rates(self) -> proof.Finding:
        """The estate kept up. Asked for more than a hundred requests a second: with a hundred, 20 of them writes to payments."""
        requests = self.journal.requests / self.seconds
        writes = sum(figures.payment_writes for figures in self.journal.figures.values()) / self.seconds
        share = 1.0 if self.rate > MIN_RATE else 0.8 * self.rate / MIN_RATE
        least, least_writes = MIN_RATE * share, MIN_PAYMENT_WRITES * share
        bad = [] if requests >= least and writes >= least_writes else [f"{requests:.1f} and {writes:.1f}; is the machine busy?"]
        claim = f"{requests:.0f} requests/s, {writes:.0f} writes/s to payments (≥ {least:.0f}, ≥ {least_writes:.0f})"
        return proof.Finding(claim, bad)

    def pauses(self) -> proof.Finding:
        pauses = {each.label: each.pause_ms for each in self.transitions if each.pause_ms is not None}
        bad = [f"{label}: {pause:.0f} ms" for label, pause in pauses.items() if pause >= MAX_PAUSE_MS]
        return proof.Finding(
            f"writes were held {', '.join(f'{pause:.0f} ms' for pause in pauses.values())} (< {MAX_PAUSE_MS} ms)", bad
        )

    def gates(self) -> proof.Finding:
        """What live traffic had shown before the last steps; that each step was let go on is proven by its being made."""
        said = "; ".join(f"{gate}: {reason}" for gate, reason in self.shown.items())
        return proof.Finding(f"the gates judged what traffic showed: {said or 'nothing came in time'}", [])


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 1 <= rate <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of requests a second, from 1 to 10000")
    return rate


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__, epilog="example: make demo ARGS='--rate 150'")
    parser.add_argument(
        "--rate", type=_rate, help=f"requests a second (default: {SHARE:.0%} of what the shop carries here, found out first)"
    )
    parser.add_argument("--users", type=int, default=12, help="users at once (default 12)")
    parser.add_argument("--dwell", type=float, default=5, help="seconds in each stage (default 5)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args()
    console = Console(stderr=options.json, highlight=False, width=None if sys.stdout.isatty() else 110)
    state = STATE_DIR / "demo"
    if "DATABASE_URL" in os.environ:
        console.print("make demo starts from an empty shop of its own: unset DATABASE_URL.")
        return 2
    clear(state)
    console.print("Setting up an estate of its own: PostgreSQL, Valkey, shop, workers, proxy, payments service …")
    with Estate(state_dir=state, ports="free", quiet=True) as estate, Operator(estate.env("monolith")) as operator:
        demo = Demo(estate, operator, console, rate=options.rate, users=options.users, dwell=options.dwell)
        try:
            found = demo.run()
        except CommandFailed as failure:
            console.print(f"[bold red]✗[/] {failure}", markup=True)
            console.print(f"What the processes said: {estate.log_dir}")
            return 1
    console.print()
    console.print(display.mix_table(demo.journal, demo.seconds))
    console.print()
    console.print(display.stage_table(demo.journal, demo.transitions))
    console.print()
    display.findings(console, found)
    if options.json:
        stages = {name: asdict(figures) | {"latencies": None} for name, figures in demo.journal.figures.items()}
        result = {"findings": [asdict(each) for each in found], "stages": stages, "seconds": demo.seconds}
        print(json.dumps(result, indent=2))
    return 0 if all(finding.holds for finding in found) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that the estate is stopped
    try:
        sys.exit(main())
    except CannotStart as error:
        sys.exit(f"make demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
