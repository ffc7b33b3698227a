"""The models of apps that Django could not load, read from their source, so that paths of lookups lead through them too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from strangler.analysis.static.declared import Declaration, Declared, declared
from strangler.analysis.static.source import Project
from strangler.domain.coupling.atlas import PLATFORM
from strangler.domain.coupling.models import FieldFacts, ModelFacts

MODEL = ("django.db.models.Model", "django.db.models.base.Model", "django.contrib.gis.db.models.Model")
USER = "AUTH_USER_MODEL"
BASE_OF_USERS = {"django.contrib.auth.models.AbstractUser", "django.contrib.auth.base_user.AbstractBaseUser"}
BASE_OF_USERS |= {"django.contrib.auth.models.AbstractBaseUser"}
NOT_INHERITED = ("abstract", "proxy")  # of a Meta


def completed(read: Registry) -> Project:
    """The project with the models of those of its apps that have none in Django's registry."""
    project = read.project
    if not read.models:
        return project
    models = {**project.models}
    for label, facts in read.facts().items():
        models.setdefault(label, facts)
    for label, fields in read.reverse().items():
        if label in models:
            models[label] = replace(models[label], fields={**fields, **models[label].fields})
    atlas = project.atlas
    homes = {label: read.context(label) for label in read.models}
    tables = {read.table(one): homes[label] for label, one in read.models.items() if not one.meta.get("proxy")}
    tables |= read.tables_between()
    atlas = replace(atlas, models={**homes, **atlas.models}, tables={**tables, **atlas.tables})
    return replace(project, models=models, atlas=atlas)


@dataclass
class Registry:
    """What stands in for Django's: concrete models by label."""

    project: Project

    @cached_property
    def classes(self) -> dict[str, Declared]:
        return declared(self.project, sorted(self._modules()))

    def _modules(self) -> Iterator[str]:
        """Of the apps of which the registry knows no model: the module ``models`` and those below."""
        apps = self.project.atlas.apps
        known = {self._app(facts.module) for facts in self.project.models.values()}
        starts = {f"{app}.models" for app, context in apps.items() if context != PLATFORM and app not in known}
        for module in self.project.files:
            head, models, _ = f"{module}.".partition(".models.")
            if models and f"{head}.models" in starts:
                yield module

    @cached_property
    def models(self) -> dict[str, Declared]:
        known = set(self.project.classes)
        found = {}
        for one in self.classes.values():
            if one.dotted not in known and not one.meta.get("abstract") and self._app(one.module) and self._is_model(one):
                found[self.label(one)] = one
        return dict(sorted(found.items()))

    @cached_property
    def _labels(self) -> dict[str, str]:
        """Class → label, also of those that Django has loaded."""
        return {**self.project.classes, **{one.dotted: label for label, one in self.models.items()}}

    def label(self, one: Declared) -> str:
        return f"{self._app_label(one)}.{one.name}"

    def _app_label(self, one: Declared) -> str:
        app = self._app(one.module)
        return str(self.option(one, "app_label") or self.project.app_of.get(app) or app.rpartition(".")[2])

    def _app(self, module: str) -> str:
        while module and module not in self.project.atlas.apps:
            module = module.rpartition(".")[0]
        return module

    def context(self, label: str) -> str:
        return self.project.atlas.of_model(label) or self.project.atlas.of_module(self.models[label].module)

    def _is_model(self, one: Declared) -> bool:
        for each in self.line(one):
            for base in each.bases:
                if base in MODEL or base in self.project.classes or (base not in self.classes and each.fields):
                    return True
        return False

    def line(self, one: Declared) -> list[Declared]:
        """The class and its bases in the source, nearest first."""
        found, waiting = [], [one]
        while waiting:
            each = waiting.pop(0)
            if each not in found:
                found.append(each)
                waiting += [self.classes[base] for base in each.bases if base in self.classes]
        return found

    def option(self, one: Declared, name: str) -> object:
        """Of its Meta, or that of its nearest abstract base."""
        for each in self.line(one):
            if name in each.meta and (each is one or (name not in NOT_INHERITED and each.meta.get("abstract"))):
                return each.meta[name]
        return None

    def fields(self, one: Declared) -> dict[str, Declaration]:
        """Its own, and those of its abstract bases; not those in the table of a parent."""
        found: dict[str, Declaration] = {}
        for each in reversed(self.line(one)):
            if each is one or each.meta.get("abstract"):
                found |= each.fields
        return found

    def table(self, one: Declared) -> str:
        table = str(self.option(one, "db_table") or f"{self._app_label(one)}_{one.name}")
        return table.rpartition('"."')[2].strip('"').lower()

    def tables_between(self) -> dict[str, str]:
        """The tables of many-to-many fields that have no model."""
        return {
            str(each.options.get("db_table") or f"{self.table(one)}_{each.name}").lower(): self.context(label)
            for label, one in self.models.items()
            for each in self.fields(one).values()
            if each.kind == "many_to_many" and not each.options.get("through")
        }

    def target(self, one: Declared, field: Declaration) -> str:
        """Its label; empty for a model that nobody knows."""
        if field.swappable == USER and not field.target:
            return self.user
        if field.target == "self":
            return self.label(one)
        if field.target in self._labels:
            return self._labels[field.target]
        written = field.target if "." in field.target else f"{self._app_label(one)}.{field.target}"
        return self.known.get(written.lower(), "")

    @cached_property
    def user(self) -> str:
        """What AUTH_USER_MODEL names, when no setting tells: the one model that is made of Django's for users."""
        found = [label for label, one in self.models.items() if any(BASE_OF_USERS & set(each.bases) for each in self.line(one))]
        return found[0] if len(found) == 1 else ""

    @cached_property
    def known(self) -> dict[str, str]:
        return {**self.project.known_labels, **{label.lower(): label for label in self.models}}

    def facts(self) -> dict[str, ModelFacts]:
        return {label: self._facts(label, one) for label, one in self.models.items()}

    def _facts(self, label: str, one: Declared) -> ModelFacts:
        fields = {"id": FieldFacts("id", attname="id")}
        managers: dict[str, str] = {}
        proxied = ""
        for each in reversed(self.line(one)):
            fields |= {name: self._field(each, field) for name, field in each.fields.items()}
            managers |= each.managers
            parent = self._labels.get(each.dotted, "")
            if each is not one and parent and one.meta.get("proxy"):
                proxied = parent
            elif each is not one and parent:
                link = f"{each.name.lower()}_ptr"
                fields[link] = FieldFacts(link, "one_to_one", parent, f"{link}_id")
        return ModelFacts(label, one.module, one.name, self.table(one), fields, managers, proxied)

    def _field(self, one: Declared, field: Declaration) -> FieldFacts:
        column = f"{field.name}_id" if field.kind in ("foreign_key", "one_to_one") else field.name
        related = self.target(one, field) if field.kind not in ("column", "generic") else ""
        return FieldFacts(field.name, field.kind, related, column)

    def reverse(self) -> dict[str, dict[str, FieldFacts]]:
        """Label → what relations of the models read here put on it."""
        found: dict[str, dict[str, FieldFacts]] = {}
        for label, one in self.models.items():
            for field in self.fields(one).values():
                target = self.target(one, field) if field.kind not in ("column", "generic") else ""
                back = self._back(label, one, field) if target else None
                if back:
                    found.setdefault(target, {})[back.name] = back
        return found

    def _back(self, label: str, one: Declared, field: Declaration) -> FieldFacts | None:
        given = field.options.get("related_name") or self.option(one, "default_related_name")
        words = {"class": one.name.lower(), "model_name": one.name.lower(), "app_label": label.partition(".")[0].lower()}
        related = str(given or "")
        for word, value in words.items():
            related = related.replace(f"%({word})s", value)
        if related.endswith("+"):
            return None
        plain = one.name.lower()
        accessor = related or (plain if field.kind == "one_to_one" else f"{plain}_set")
        name = str(field.options.get("related_query_name") or related or plain)
        return FieldFacts(name, f"reverse_{field.kind}", label, "", accessor)
