"""The table at the end of a soak, and its JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.soak.journal import Journal
from tests.soak.verdict import Check
from tests.soak.watch import Watch


def show(checks: list[Check], journal: Journal, seconds: float) -> None:
    console = Console()
    done = Table(
        "traffic", "done", "failed, explained", "failed", title=f"soak of {seconds / 60:.1f} min", box=None, title_justify="left"
    )
    without = Counter(failure.kind for failure in journal.unexcused)
    every = Counter(failure.kind for failure in journal.failures)
    for name in sorted(set(journal.done) | set(every)):
        done.add_row(name, f"{journal.done[name]:,}", str(every[name] - without[name]), str(without[name]))
    console.print(done)
    killed = Counter(one.what for one in journal.disturbances)
    console.print(f"flips: {dict(journal.flips)}; killed: {dict(killed)}\n")
    verdicts = Table("check", "seen", "holds", box=None)
    for check in checks:
        verdicts.add_row(check.name, check.seen, "yes" if check.holds else "NO")
    console.print(verdicts)


def store(path: Path, checks: list[Check], journal: Journal, watch: Watch, seconds: float, more: dict[str, Any]) -> None:
    document = {
        "seconds": round(seconds, 1),
        "checks": [asdict(check) for check in checks],
        "done": dict(journal.done),
        "failures": [{**asdict(failure), "excuse": journal.excuse(failure)} for failure in journal.failures[:1000]],
        "disturbances": [asdict(one) for one in journal.disturbances],
        "flips": dict(journal.flips),
        "memory_mb": watch.memory.points,
        "descriptors": watch.descriptors.points,
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
