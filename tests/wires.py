"""A project of a few files for tests of the detectors, in three contexts: orders, payments and mails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from strangler.analysis.static.source import Project
from strangler.analysis.static.template_tags import wires_in_templates
from strangler.analysis.static.walk import scan
from strangler.analysis.static.wiring import Wiring
from strangler.domain.coupling.atlas import Atlas
from strangler.domain.coupling.models import ModelFacts

CONTEXTS = ("orders", "payments", "mails", "users")
MODELS = ("orders.Order", "orders.Line", "orders.Order_tags", "payments.Payment", "mails.Mail", "users.User")


def project(root: Path, files: dict[str, str], **known: object) -> Project:
    """``files``: path → source, written below ``root``. ``known``: what else a ``Project`` knows."""
    paths = {}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name.endswith(".py"):
            paths[".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")] = path
    atlas = Atlas(
        apps={f"shop.{name}": name for name in CONTEXTS},
        labels={name: name for name in CONTEXTS},
        models={label: label.partition(".")[0] for label in MODELS},
        packages=frozenset({"shop"}),
    )
    models = {label: _facts(label) for label in MODELS}
    return replace(Project(root, atlas, models, paths), **known)  # type: ignore[arg-type]


def _facts(label: str) -> ModelFacts:
    app, _, name = label.partition(".")
    return ModelFacts(label, f"shop.{app}.models", name, label.lower().replace(".", "_"))


def wires(root: Path, files: dict[str, str], **known: object) -> list[str]:
    """Each edge as "signal mails > orders shop/mails/receivers.py:heard post_save orders.Order", in order."""
    made = project(root, files, **known)
    found = (*scan(made, [Wiring]).edges, *wires_in_templates(made).edges)
    return sorted(f"{edge.kind} {edge.source} > {edge.target} {edge.where} {edge.what} {edge.note}".strip() for edge in found)
