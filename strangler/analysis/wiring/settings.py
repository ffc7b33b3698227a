"""Which settings name code of the project, or models."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings

from strangler.analysis.static.definitions import definition
from strangler.analysis.static.source import Project
from strangler.analysis.wiring.failures import REACHED, skip
from strangler.domain.coupling.edges import Skipped

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
DEEPEST = 12  # levels of dicts and lists in each other
MOST = 20_000  # values looked at in one setting: a price list is no wiring


def named(project: Project, skipped: list[Skipped]) -> dict[str, tuple[str, ...]]:
    """Setting → the dotted names and labels among its values, in order of the alphabet."""
    found: dict[str, tuple[str, ...]] = {}
    for name in _names(skipped):
        try:
            left = [MOST]
            texts = set(_texts(getattr(settings, name), DEEPEST, left))
        except REACHED as error:  # a lazy setting, made when it is asked for
            skipped.append(skip("setting", name, error))
            continue
        if left[0] < 0:
            skipped.append(Skipped("setting", name, f"it has more than {MOST:,} values; the first were looked at"))
        known = {text for text in (_known(project, text) for text in texts) if text}
        if known:
            found[name] = tuple(sorted(known))
    return found


def _names(skipped: list[Skipped]) -> list[str]:
    try:
        return sorted(filter(str.isupper, dir(settings)))
    except REACHED as error:
        skipped.append(skip("settings", os.environ.get("DJANGO_SETTINGS_MODULE", ""), error))
        return []


def _known(project: Project, text: str) -> str:
    """A model's label as the registry has it, or a dotted name that the project's own code defines; else empty."""
    if not DOTTED.fullmatch(text):
        return ""
    if label := project.known_labels.get(text.lower(), ""):
        return label
    if text in project.files:
        return text
    module = text
    while (module := module.rpartition(".")[0]) and module not in project.files:
        pass
    if not module:
        return ""
    name = text[len(module) + 1 :].partition(".")[0]
    return text if definition(project, f"{module}.{name}") else ""


def _texts(value: Any, depth: int, left: list[int]) -> Iterator[str]:
    """The strings in it, keys too; of a function or a class, its dotted name."""
    left[0] -= 1
    if left[0] < 0 or depth < 0:
        return
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if left[0] < 0:  # it may have no end
                return
            yield from _texts(key, depth - 1, left)
            yield from _texts(each, depth - 1, left)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            if left[0] < 0:
                return
            yield from _texts(each, depth - 1, left)
    elif hasattr(value, "__qualname__") and hasattr(value, "__module__"):
        yield f"{value.__module__}.{value.__qualname__}"
