"""The ledger of a run of tests, as a file: JSON, sorted, the same for the same run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from strangler.analysis.runtime.crossings import Crossing
from strangler.analysis.runtime.gathering import Gathering, Weight
from strangler.errors import Misconfigured

FORMAT = "strangler-ledger/1"


def document(gathered: Gathering) -> dict[str, Any]:
    crossed = [
        crossing._asdict() | {"line": weight.line, "count": weight.count, "by": sorted(weight.by)}
        for crossing, weight in gathered.sorted()
    ]
    return {"format": FORMAT, "looked_at": dict(sorted(gathered.looked_at.items())), "crossings": crossed}


def merge(found: Any, into: Gathering) -> None:
    """Raises ``ValueError`` for what is no document of ours."""
    try:
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']!r}, and {FORMAT!r} is what this version reads")
        for one in found["crossings"]:
            crossing = Crossing(*(str(one[name]) for name in Crossing._fields))
            weight = into.crossings.setdefault(crossing, Weight())
            weight.add(int(one["count"]), int(one["line"]), tuple(map(str, one["by"])))
        for what, count in found["looked_at"].items():
            into.looked_at[str(what)] += int(count)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no ledger of a run of tests: {error!r}") from error


def write(path: Path, gathered: Gathering) -> None:
    """Whole or not at all. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(json.dumps(document(gathered), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def load(path: Path, into: Gathering) -> None:
    """Raises ``Misconfigured``, which says what to do."""
    again = "Make it anew with `pytest --strangler-ledger`."
    try:
        merge(json.loads(path.read_text(encoding="utf-8")), into)
    except FileNotFoundError as error:
        raise Misconfigured(f"{path} is not there. {again}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise Misconfigured(f"{path} can't be read: {error}. {again}") from error
