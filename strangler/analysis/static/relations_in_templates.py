"""Templates whose variables follow relations to other contexts' models, where no import shows it.

A template is read by its tags and variables, not rendered: loops and ``with`` are resolved, and a name is taken for a model of
the template's own context by how it is spelt (``order``, ``order_line``, ``orders``, ``order_list``); ``object``,
``object_list`` and a ``context_object_name`` by the view that names the template, or by the name that Django's generic views
give it (``orders/order_detail.html``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from strangler.analysis.static import classes as about
from strangler.analysis.static.definitions import assigned
from strangler.analysis.static.paths import Crossings
from strangler.analysis.static.paths import Path as Followed
from strangler.analysis.static.queries import ground
from strangler.analysis.static.source import Project
from strangler.analysis.static.templates import Template, templates
from strangler.domain.coupling.edges import Edge, Evidence, Found, Kind, Skipped, joined

TAG = re.compile(r"{%-?\s*(?P<tag>.*?)\s*-?%}|{{-?\s*(?P<variable>.*?)\s*-?}}|{#.*?#}", re.DOTALL)
QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
DOTTED = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.\w+)+")
NAME = re.compile(r"[A-Za-z_]\w*")
LOOP = re.compile(r"for\s+(?P<names>.+?)\s+in\s+(?P<over>\S+)")
WITH_OLD = re.compile(r"with\s+(?P<over>\S+)\s+as\s+(?P<name>\w+)")
ASSIGNED = re.compile(r"(?P<name>\w+)\s*=\s*(?P<over>[A-Za-z_][\w.]*)")
PASSED = frozenset(("all", "first", "last", "get_queryset", "iterator", "all()", "0"))
OPENS = {"for": "endfor", "with": "endwith"}
SKIPPED = {"comment": "endcomment", "verbatim": "endverbatim", "raw": "endraw"}
GENERIC = re.compile(r"(?P<app>\w+)/(?P<model>[a-z0-9]+)_(?:detail|list|form|confirm_delete|archive\w*)\.html$")
Scopes = list[tuple[str, dict[str, str]]]  # the tag that ends it, and the models of the names that it gives


def relations_in_templates(project: Project) -> Found:
    edges: list[Edge] = []
    skipped: list[Skipped] = []
    views = Views(project)
    looked = 0
    for template in templates(project, skipped):
        looked += 1
        edges += in_template(project, views, template)
    return Found(joined(edges), tuple(skipped), {"templates": looked + len(skipped)})


def in_template(project: Project, views: Views, template: Template) -> Iterator[Edge]:
    name, context, _, file, text = template
    crossings = ground(project)[0]
    if not crossings.names(context).in_text(text):
        return
    lines = text.splitlines()
    roots = Roots(crossings, context, *views.shown(name, context))
    for label, path, line in variables(text, roots):
        for target, models in crossings.reached(roots.followed(label, path[1:]).models).items():
            if project.atlas.crosses(context, target):
                shown = Evidence(file, line, lines[line - 1].strip() if line <= len(lines) else "")
                yield Edge(Kind.TEMPLATE_RELATION, context, target, file, ".".join(path), "", (shown,), models)


@dataclass
class Roots:
    """What a first name stands for. ``object``: the label of what the view shows, if that is known; ``spelt``: as what."""

    crossings: Crossings
    context: str
    object: str
    spelt: str = ""
    _known: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for label in sorted(self.crossings.paths.models):
            if self.crossings.contexts([label]) == [self.context]:
                name = label.partition(".")[2]
                snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
                for spelt in (name.lower(), snake):
                    for one in (spelt, *plurals(spelt), f"{spelt}_list"):
                        self._known.setdefault(one, label)

    def model(self, name: str) -> str:
        return self.object if name in ("object", "object_list", self.spelt) else self._known.get(name, "")

    def followed(self, label: str, parts: list[str]) -> Followed:
        return self.crossings.paths.fetched(label, ".".join(part for part in parts if part not in PASSED), ".")

    def end(self, label: str, parts: list[str]) -> str:
        """The model at the end of a path, or empty."""
        rest = [part for part in parts if part not in PASSED]
        found = self.followed(label, rest)
        return label if not rest else found.end if not found.rest else ""


def plurals(word: str) -> tuple[str, ...]:
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return (f"{word[:-1]}ies",)
    return (f"{word}es",) if word.endswith(("s", "x", "ch", "sh")) else (f"{word}s",)


# ---- a template's variables ---------------------------------------------------------------------------------------------


def variables(text: str, roots: Roots) -> Iterator[tuple[str, list[str], int]]:
    """The label of the model that the first name stands for, the dotted name as it is written, its line."""
    scopes: Scopes = [("", {})]
    until = ""
    line, at = 1, 0
    for found in TAG.finditer(text):
        line += text.count("\n", at, found.start())
        at = found.start()
        tag, variable = found["tag"], found["variable"]
        first = NAME.match(tag or "")
        word = first[0] if first else ""
        if until:
            until = "" if word == until else until
            continue
        if word in SKIPPED:
            until = SKIPPED[word]
            continue
        bare = QUOTED.sub(" ", tag or variable or "")
        for path in map(_parts, DOTTED.findall(bare)):
            label = _label(path[0], scopes, roots)
            if label:
                yield label, path, line
        given = {name: _end(name, over, scopes, roots) for name, over in _named(word, bare).items()}
        if word in OPENS:
            scopes.append((OPENS[word], given))
        elif word and word == scopes[-1][0]:
            scopes.pop()
        else:
            scopes[-1][1].update(given)


def _parts(name: str) -> list[str]:
    return name.split(".")


def _named(word: str, tag: str) -> Mapping[str, list[str]]:
    """The names that a tag gives, and what each is made of; empty where nobody knows."""
    if word == "for":
        loop = LOOP.match(tag)
        names = NAME.findall(loop["names"]) if loop else []
        over = loop["over"].partition("|")[0].removesuffix("()").split(".") if loop else []
        return {name: over if len(names) == 1 else [] for name in names}
    if word in ("with", "set"):
        old = WITH_OLD.match(tag)
        pairs = [(old["name"], old["over"])] if old else [(one["name"], one["over"]) for one in ASSIGNED.finditer(tag)]
        return {name: over.partition("|")[0].split(".") for name, over in pairs}
    return {}


def _end(name: str, over: list[str], scopes: Scopes, roots: Roots) -> str:
    """The model of a name that is made of a path. Where the path's first name tells nothing, the new name may."""
    label = _label(over[0], scopes, roots) if over else ""
    return roots.end(label, over[1:]) if label else roots.model(name) if over else ""


def _label(name: str, scopes: Scopes, roots: Roots) -> str:
    known = (names[name] for _, names in reversed(scopes) if name in names)
    return next(known, None) or ("" if any(name in names for _, names in scopes) else roots.model(name))


# ---- views --------------------------------------------------------------------------------------------------------------


class Views:
    """Which model a template's view shows, where it says so. Only the files that name the template are read."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.classes = ground(project)[1]
        self._texts: dict[str, dict[Path, str]] = {}
        self._known: dict[Path, list[tuple[ast.ClassDef, frozenset[str]]]] = {}
        self._labels = {label.lower(): label for label in project.models}

    def shown(self, name: str, context: str) -> tuple[str, str]:
        """The model's label, and what a template of this name calls it."""
        generic = GENERIC.search(name)
        found = self._labels.get(f"{generic['app']}.{generic['model']}") if generic else ""
        return (found, "") if found else self._by_view(name, context)

    def _by_view(self, name: str, context: str) -> tuple[str, str]:
        for path, text in self._sources(context).items():
            for node, texts in self._classes(path, text) if name in text else ():
                label = self._label(node, path, context) if name in texts else ""
                if label:
                    return label, _spelt(node)
        return "", ""

    def _classes(self, path: Path, text: str) -> list[tuple[ast.ClassDef, frozenset[str]]]:
        """Each with the texts in it. Read once for all templates: one file may name hundreds."""
        if path not in self._known:
            try:
                found = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                found = []  # named by those who read the source
            self._known[path] = [(node, _texts(node)) for node in found]
        return self._known[path]

    def _label(self, node: ast.ClassDef, path: Path, context: str) -> str:
        """By the class's name: within the context there is one of it."""
        for said in about.said(node):
            for one in ast.walk(said):
                if isinstance(one, (ast.Name, ast.Attribute)):
                    name = one.id if isinstance(one, ast.Name) else one.attr
                    for label in sorted(self.project.models):
                        if label.partition(".")[2] == name and self.project.atlas.of_model(label) == context:
                            return label
        return ""

    def _sources(self, context: str) -> Mapping[Path, str]:
        if context not in self._texts:
            files = [
                path for module, path in sorted(self.project.files.items()) if self.project.atlas.of_module(module) == context
            ]
            self._texts[context] = {path: _text(path) for path in files}
        return self._texts[context]


def _texts(node: ast.ClassDef) -> frozenset[str]:
    return frozenset(one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _spelt(view: ast.ClassDef) -> str:
    """Its ``context_object_name``, where that is written out."""
    given = next((node.value for node in view.body if assigned(node) == "context_object_name"), None)  # type: ignore[attr-defined]
    return str(given.value) if isinstance(given, ast.Constant) else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""  # named by those who read the source
