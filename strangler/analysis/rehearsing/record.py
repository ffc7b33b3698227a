"""The last rehearsal of each context, as a small file beside ``strangler.toml``: the gate ``rehearsal`` reads it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strangler import conf
from strangler.domain.coupling.rehearsed import FORMAT, Rehearsal
from strangler.domain.gates import RehearsalSeen
from strangler.errors import Misuse

CLOCKS_S = 3600.0  # so much the clocks of two machines may differ


def path(context: str) -> Path:
    return Path(conf.setting("ESTATE")).parent / ".strangler" / f"rehearsal-{context}.json"


def document(found: Rehearsal, command: Sequence[str], code: int, *, unreachable: bool) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "context": found.context,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "head": head(),
        "command": list(command),
        "ended_with": code,
        "unreachable": unreachable,
        "clean": found.is_clean,
        "tests": found.tests,
        "failed": len(found.failed),
        "failed_anyway": None if found.anyway is None else len(found.anyway),
        "refused": len(found.refused),
        "crossings": [list(one.edge.key) for one in found.refusals],
    }


def write(document: dict[str, Any]) -> Path:
    """Whole or not at all. Raises ``Misuse``."""
    file = path(document["context"])
    partial = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise Misuse(f"{file} can not be written: {error.strerror}") from error
    return file


def last(context: str) -> RehearsalSeen | None:
    """None where there is none that can be read."""
    try:
        told = json.loads(path(context).read_text(encoding="utf-8"))
        at = datetime.fromisoformat(told["at"])
        if told["format"] != FORMAT or told["context"] != context:
            return None
        age_s = (datetime.now(UTC) - at).total_seconds()
        if age_s < -CLOCKS_S:
            return None
        return RehearsalSeen(bool(told["clean"]), age_s, int(told["tests"]), int(told["refused"]), str(told["head"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def head() -> str:
    """The commit of the project's files; a ``+`` where they differ from it. Empty without git."""
    try:
        asked = ("git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+")
        done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
