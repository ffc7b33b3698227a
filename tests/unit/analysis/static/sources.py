"""A project whose files are given as texts, without Django."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from strangler.analysis.static import scan
from strangler.analysis.static.source import Project
from strangler.domain.coupling.atlas import PLATFORM, Atlas
from strangler.domain.coupling.edges import Found
from strangler.domain.coupling.models import ModelFacts

CONTEXTS = ("orders", "payments", "customers", "users")
MODELS = ("orders.Order", "orders.Line", "payments.Payment", "customers.Customer", "users.User")


def project(root: Path, files: Mapping[str, str | bytes], labels: tuple[str, ...] = MODELS, **more: object) -> Project:
    """Apps ``shop.orders`` and so on; ``labels``: of the models that Django has loaded."""
    found: dict[str, Path] = {}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        found[name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")] = path
    atlas = Atlas(
        apps={**{f"shop.{name}": name for name in CONTEXTS}, "django.contrib.auth": PLATFORM},
        labels={**{name: name for name in CONTEXTS}, "auth": PLATFORM},
        models={label: label.partition(".")[0] for label in labels},
        packages=frozenset({"shop", "config"}),
        faces=frozenset(f"shop.{name}.contract" for name in CONTEXTS),
    )
    models = {label: _facts(label) for label in labels}
    return Project(root, atlas, models, found, **more)  # type: ignore[arg-type]


def _facts(label: str) -> ModelFacts:
    app, _, name = label.partition(".")
    return ModelFacts(label, f"shop.{app}.models", name, f"{app}_{name.lower()}")


def found(root: Path, files: Mapping[str, str | bytes], **more: object) -> Found:
    return scan(project(root, files, **more))  # type: ignore[arg-type]


def lines(root: Path, text: str, at: str = "shop/payments/views.py", **more: str) -> list[str]:
    """What a module gives, "kind target place what", sorted; ``more``: other modules, with ``__`` for slashes."""
    files = {f"{name.replace('__', '/')}.py": other for name, other in more.items()}
    edges = found(root, {at: text, **files}).edges
    return sorted(
        f"{one.kind} {one.target} {one.where.partition(':')[2]} {one.what}" for one in edges if one.where.startswith(at)
    )
