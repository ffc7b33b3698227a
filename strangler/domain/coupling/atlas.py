"""Which context owns what: modules, models, tables, files.

Contexts are those that ``strangler.toml`` declares, and implicit ones: each app of the project's own that none declares is
one by its label; ``project`` is the project's code outside of apps (settings, URLconf); ``platform``: Django, and apps of others.
Nothing of it needs Django, and all of it can be pickled: the source is read in several processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

PROJECT, PLATFORM = "project", "platform"


@dataclass(frozen=True)
class Atlas:
    """``apps``: dotted name → context, of every installed app. ``labels``: app label → context. ``tables``: name, in lower case
    → context. ``models``: ``app_label.Model`` → context; a model may be moved away from its app. ``packages``: first parts of the
    project's own dotted names. ``faces``: modules that are a context's contract.
    """

    apps: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    packages: frozenset[str] = frozenset()
    declared: tuple[str, ...] = ()
    faces: frozenset[str] = frozenset()

    @property
    def contexts(self) -> tuple[str, ...]:
        """Declared ones first, as they stand; then the implicit ones by name; ``platform`` at the end."""
        implicit = {*self.apps.values(), PROJECT} - {*self.declared, PLATFORM}
        return (*self.declared, *sorted(implicit), PLATFORM)

    def of_module(self, name: str) -> str:
        """``platform`` for what is not the project's, and not installed."""
        rest = name
        while rest:
            if rest in self.apps:
                return self.apps[rest]
            rest = rest.rpartition(".")[0]
        return PROJECT if name.partition(".")[0] in self.packages else PLATFORM

    def of_model(self, label: str) -> str:
        """``app_label.Model``, in any case; empty when there is none."""
        known = self.models.get(label) or self._in_lower_case.get(label.lower())
        return known or self.labels.get(label.partition(".")[0], "")

    @cached_property
    def _in_lower_case(self) -> Mapping[str, str]:
        return {label.lower(): context for label, context in self.models.items()}

    def of_table(self, name: str) -> str:
        return self.tables.get(name.rpartition(".")[2].strip('"').lower(), "")

    def crosses(self, source: str, target: str) -> bool:
        """Whether it is worth a line: towards Django and its like, everybody goes."""
        return bool(source and target) and source != target and PLATFORM not in (source, target)
