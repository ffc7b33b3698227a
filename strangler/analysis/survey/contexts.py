"""Which app is of which context. Pure: asked for apps that Django has loaded, and for those that it could not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from strangler.domain.coupling.atlas import PLATFORM, PROJECT, Atlas
from strangler.domain.coupling.edges import Skipped
from strangler.domain.estate import Estate

OTHERS = frozenset({"site-packages", "dist-packages"})
NEVER = frozenset({"django", "strangler"})


@dataclass(frozen=True, slots=True)
class App:
    """An installed app: its dotted name, its label, its directory."""

    name: str
    label: str
    path: Path


@dataclass(frozen=True, slots=True)
class Table:
    """A model as its table tells of it. ``table`` is empty for a proxy; ``made_for``: the model whose M2M has it for its own."""

    label: str
    table: str
    made_for: str = ""


def entry_of(app: str) -> tuple[str, str]:
    """``shop.orders.apps.OrdersConfig`` → ``shop.orders``, ``OrdersConfig``: a class is told by its capital, not by ``apps``."""
    module, _, last = app.rpartition(".")
    return (module.rpartition(".")[0] or module, last) if module and last[:1].isupper() else (app, "")


def drawn(apps: Iterable[App], estate: Estate, tables: Iterable[Table] = (), also: Iterable[str] = ()) -> Atlas:
    """``also``: first parts of dotted names that are the project's besides its apps', such as that of its settings."""
    apps, tables = list(apps), list(tables)
    homes = {app.name: home(app, estate) for app in apps}
    labels = {app.label: homes[app.name] for app in apps}
    own = [app for app in apps if homes[app.name] != PLATFORM]
    packages = {app.name.partition(".")[0] for app in own if not installed(app.path)} | {*also} | {*estate.packages}
    return Atlas(
        apps=homes,
        labels=labels,
        models={one.label: labels.get(one.label.partition(".")[0], "") for one in tables},
        tables={one.table: labels.get(one.label.partition(".")[0], "") for one in tables if one.table},
        packages=frozenset(name.partition(".")[0] for name in packages if name) - NEVER,
        declared=tuple(estate.contexts),
        faces=faces(homes, estate),
    )


def home(app: App, estate: Estate) -> str:
    """That which declares it; else its own label if it is the project's."""
    declared = {name: context.name for context in estate.contexts.values() for name in context.apps}
    if app.name in declared:
        return declared[app.name]
    ours = any(app.name == name or app.name.startswith(f"{name}.") for name in estate.packages)
    if not ours and (installed(app.path) or app.name.partition(".")[0] in NEVER):
        return PLATFORM
    # an app that is called as one of the two implicit contexts is not that
    return f"{app.label}-app" if app.label in (PROJECT, PLATFORM) else app.label


def installed(path: Path) -> bool:
    """Whether it was put there by pip or the system, and is others' work."""
    return bool(OTHERS & set(path.parts))


def absent(estate: Estate, homes: Mapping[str, str]) -> list[Skipped]:
    """Apps that are declared and not installed. One whose service has its requests may have been deleted here, rightly."""
    return [
        Skipped("app", app, f"{context.name} declares it, and it is not installed")
        for context in estate.contexts.values()
        for app in context.apps
        if app not in homes and not context.service_urls
    ]


def faces(homes: Mapping[str, str], estate: Estate) -> frozenset[str]:
    told = {name: context.contract for name, context in estate.contexts.items() if context.contract}
    usual = {f"{app}.contract" for app, context in homes.items() if context != PLATFORM and context not in told}
    return frozenset(usual.union(*told.values()))


def rearranged(atlas: Atlas, tables: Iterable[Table], moves: Mapping[str, str], merges: Iterable[tuple[str, str]]) -> Atlas:
    """The same apps under other contexts, to see what a cut would cost then. A moved model's automatic M2M tables go with it."""
    by_label = {label.lower(): context for label, context in moves.items()}
    moved: dict[str, str] = {}
    by_table: dict[str, str] = {}
    for one in tables:
        to = by_label.get(one.label.lower()) or by_label.get(one.made_for.lower())
        if to:
            moved[one.label] = to
            by_table |= {one.table: to} if one.table else {}
    atlas = replace(atlas, models={**atlas.models, **moved}, tables={**atlas.tables, **by_table})
    for kept, gone in merges:
        atlas = _merged(atlas, kept, gone)
    return atlas


def _merged(atlas: Atlas, kept: str, gone: str) -> Atlas:
    def renamed(known: Mapping[str, str]) -> dict[str, str]:
        return {name: kept if context == gone else context for name, context in known.items()}

    return replace(
        atlas,
        apps=renamed(atlas.apps),
        labels=renamed(atlas.labels),
        models=renamed(atlas.models),
        tables=renamed(atlas.tables),
        declared=tuple(dict.fromkeys(kept if name == gone else name for name in atlas.declared)),
    )
