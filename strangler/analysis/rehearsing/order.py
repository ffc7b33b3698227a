"""What the processes of a rehearsal are told, by their environment. Imports no Django."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from strangler.errors import Misconfigured

VARIABLE = "STRANGLER_REHEARSE"
PLUGIN = "strangler.analysis.rehearsing.pytest_plugin"


@dataclass(frozen=True)
class Order:
    """``into``: the directory for notes. ``fences`` false: only how the tests end is noted. ``unreachable``: reads are refused
    too. ``strict_tests``: what test code does itself as well.
    """

    context: str
    into: str
    fences: bool = True
    unreachable: bool = False
    strict_tests: bool = False

    def environment(self, outer: dict[str, str]) -> dict[str, str]:
        """pytest loads what ``PYTEST_PLUGINS`` names, in the workers of xdist too."""
        plugins = [*filter(None, outer.get("PYTEST_PLUGINS", "").split(",")), PLUGIN]
        return outer | {VARIABLE: json.dumps(asdict(self)), "PYTEST_PLUGINS": ",".join(dict.fromkeys(plugins))}


def given() -> Order | None:
    """None where nobody rehearses, and where the command that did so is gone with its directory. Raises ``Misconfigured``."""
    text = os.environ.get(VARIABLE, "")
    try:
        order = Order(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        raise Misconfigured(f"{VARIABLE} is {text!r}, and `strangler rehearse` alone sets it: unset {VARIABLE}") from None
    return order if order is not None and Path(order.into).is_dir() else None
