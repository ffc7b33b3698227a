"""Writes rows by the ORM, in whichever environment: ``python -m tests.benchmarks.sync.mirrors.write APP VERB …``.

``compare ROWS BULK`` prints microseconds a row of ``create`` and ``bulk_create``, with and without capture, as JSON. ``create
ROWS KIND`` writes rows one by one, ``bulk_create ROWS KIND`` all at once. ``paced RATE SECONDS FILE`` writes them at even
distances; ``FILE`` gets ``reference seconds`` a line, the time after COMMIT returned.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from collections.abc import Callable
from typing import Any

DUE = dt.date(2026, 5, 1)


def values(n: int, kind: str) -> dict[str, Any]:
    return {"account_id": n % 5000, "kind": kind, "amount": "10.50", "currency": "EUR", "note": f"invoice {n}", "due_on": DUE}


def compare(entry: Any, bare: Any, rows: int, bulk: int) -> dict[str, float]:
    return {
        "create, bare": _per_row(lambda: create(bare, rows), rows),
        "create": _per_row(lambda: create(entry, rows), rows),
        "bulk_create, bare": _per_row(lambda: bulk_create(bare, bulk), bulk),
        "bulk_create": _per_row(lambda: bulk_create(entry, bulk), bulk),
    }


def create(model: Any, rows: int, kind: str = "transfer") -> None:
    for n in range(rows):
        model.objects.create(**values(n, kind))


def bulk_create(model: Any, rows: int, kind: str = "bulk") -> None:
    model.objects.bulk_create([model(**values(n, kind)) for n in range(rows)])


def paced(model: Any, rate: float, seconds: float, path: str) -> None:
    began, lines = time.perf_counter(), []
    for n in range(int(rate * seconds)):
        time.sleep(max(0.0, began + n / rate - time.perf_counter()))
        row = model.objects.create(**values(n, "live"))
        lines.append(f"{row.reference} {time.time():.6f}\n")
    with open(path, "w") as file:
        file.writelines(lines)


def _per_row(write: Callable[[], None], rows: int) -> float:
    began = time.perf_counter()
    write()
    return (time.perf_counter() - began) / rows * 1e6


if __name__ == "__main__":
    import django

    django.setup()
    from django.apps import apps

    app, verb, *words = sys.argv[1:]
    entry, bare = apps.get_model(app, "Entry"), apps.get_model("bare", "Bare")
    if app == "ledger":
        from django.db.models.signals import post_save

        from strangler.sync import wake

        post_save.connect(lambda **_: wake.wake("ledger"), sender=entry, weak=False)  # as the middleware does after a commit
    if verb == "compare":
        print(json.dumps(compare(entry, bare, *map(int, words))))
    elif verb in ("create", "bulk_create"):
        {"create": create, "bulk_create": bulk_create}[verb](entry, int(words[0]), words[1])
    else:
        paced(entry, float(words[0]), float(words[1]), words[2])
