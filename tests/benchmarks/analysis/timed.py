"""``python -m tests.benchmarks.analysis.timed ROOT PART`` in a project's folder: seconds that one part takes in a fresh process.

PART is "static" (from the loaded registries on) or "live" (registries, catalogue and sizes; Django's own start is not counted).
Prints {"seconds": …, "edges": …, "looked_at": {…}, "megabytes": …}, the memory at the peak with that of the largest child.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path


def main(root: Path, part: str) -> None:
    os.chdir(root)
    sys.path.insert(0, str(root))
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    from strangler.analysis.collect import collect

    began = time.perf_counter()
    ledger = collect(only=(part,))
    seconds = time.perf_counter() - began
    peak = sum(resource.getrusage(whose).ru_maxrss for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    looked_at = dict(ledger.looked_at.get(part, {}))
    print(json.dumps({"seconds": seconds, "edges": len(ledger.edges), "looked_at": looked_at, "megabytes": peak}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
