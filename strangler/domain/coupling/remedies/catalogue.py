"""What can be done about a crossing, and one piece of advice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from strangler.domain.coupling.edges import Edge
from strangler.domain.coupling.plain import Plain

LONGEST = 120


class Remedy(StrEnum):
    DELETE = "delete"  # it need not be
    SEAM = "seam"  # through the context's contract, local or remote
    READ_COPY = "read copy"  # the table is mirrored to where it is read
    ID_AND_API = "id + API"  # a row points to a row by its id; what more is wanted is asked for
    EVENT = "event"  # who changed it does not know who hears of it
    DENORMALISE = "denormalise"  # a column of one's own, kept up to date
    MOVE = "move the model"  # the border is in the wrong place
    KEEP = "keep"  # it is as it should be


@dataclass(frozen=True, slots=True)
class Setting(Plain):
    """A line for ``[contexts.CONTEXT]``: ``read_copies`` ← "orders.Order"; with a ``name``, ``receivers`` ← a.b.c = "drop"."""

    key: str
    value: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Advice(Plain):
    """``leaving``: the context that is taken out. ``quoted``: the code, on one line. ``because``: a sentence, why this remedy.
    ``instead``: sentences, what to write and what the product does by itself. ``settings``: for ``leaving``'s table of the file.
    """

    edge: Edge
    leaving: str
    remedy: Remedy
    because: str
    instead: str
    settings: tuple[Setting, ...] = ()

    @property
    def quoted(self) -> str:
        return quoted(self.edge)

    @property
    def text(self) -> str:
        """All of it as a paragraph."""
        return f"{self.quoted} {self.because} {self.instead}"

    @property
    def toml(self) -> tuple[str, ...]:
        return rendered(self.leaving, self.settings)


def quoted(edge: Edge) -> str:
    """``Order.objects.filter(…)`` (shop/orders/api.py:12); its place and name where no line proves it."""
    proof = next((proof for proof in edge.evidence if proof.text), None)
    if proof is None:
        return f"`{edge.what}` at {edge.where}:"
    text = " ".join(proof.text.split())
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1].rstrip()}…"
    at = f"{proof.file}:{proof.line}" if proof.line else proof.file or edge.where
    return f"`{text}` ({at}):"


def rendered(context: str, settings: Iterable[Setting]) -> tuple[str, ...]:
    """The lines for ``strangler.toml``, each value once, in order."""
    lists: dict[str, set[str]] = {}
    tables: dict[str, dict[str, str]] = {}
    for setting in settings:
        if setting.name:
            tables.setdefault(setting.key, {})[setting.name] = setting.value
        else:
            lists.setdefault(setting.key, set()).add(setting.value)
    lines = [f"{key} = [{', '.join(map(json.dumps, sorted(lists[key])))}]" for key in sorted(lists)]
    lines = [f"[contexts.{context}]", *lines] if lines else []
    for key in sorted(tables):
        named = (f"{json.dumps(name)} = {json.dumps(value)}" for name, value in sorted(tables[key].items()))
        lines += [*([""] if lines else []), f"[contexts.{context}.{key}]", *named]
    return tuple(lines)
