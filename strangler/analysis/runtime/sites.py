"""The project's own code that a statement comes from: the innermost frame of the stack that is neither a library's nor ours.

A frame is known by its code object, so a stack is a walk of dictionary look-ups.
"""

from __future__ import annotations

from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from strangler.domain.coupling.atlas import PLATFORM, Atlas

MOST = 20_000  # code objects known by heart; more can only be made at run time
DEEPEST = 400  # frames; deeper is a recursion
FRAMES = range(DEEPEST)
TESTS = frozenset({"tests", "test", "testing", "conftest"})


class Site:
    """One for each piece of code, so it is compared by identity. ``where``: ``FILE:QUALNAME``; empty where none of the project's
    own is on the stack. ``is_test``: code that only tests run is not what couples the project.
    """

    __slots__ = ("context", "file", "is_test", "where")

    def __init__(self, where: str = "", context: str = "", *, is_test: bool = False) -> None:
        self.where, self.context, self.is_test = where, context, is_test
        self.file = where.rpartition(":")[0]

    def __repr__(self) -> str:
        return f"Site({self.where!r}, {self.context!r})"


NOBODY = Site()
TEST = Site(is_test=True)
COLLECTOR = Site("Collector.delete")
HANDLER = Site("BaseHandler._get_response")  # outside of it are middlewares, which all views have in common
DJANGO = {
    ("django.db.models.deletion", "delete"): COLLECTOR,
    ("django.core.handlers.base", "_get_response"): HANDLER,
    ("django.core.handlers.base", "_get_response_async"): HANDLER,
}


class Place(NamedTuple):
    """``origin``: the label of the model whose delete the statement is a part of."""

    site: Site
    line: int = 0
    origin: str = ""


NOWHERE = Place(NOBODY)


class Memory:
    """By id, since the hash of a code object is of all its bytes; ``kept``, so that no other takes an id. Given up as a whole, so
    a thread that still writes into it does no harm. ``places``: by code and instruction, for to find its line is dear.
    """

    __slots__ = ("kept", "places", "sites")

    def __init__(self) -> None:
        self.kept: list[CodeType] = []
        self.sites: dict[int, Site | None] = {}
        self.places: dict[tuple[int, int], Place] = {}


class Sites:
    def __init__(self, atlas: Atlas, root: Path) -> None:
        self.atlas, self._root = atlas, root
        self._memory = Memory()

    def innermost(self, frame: FrameType | None) -> Place:
        known, origin = self._memory.sites.get, ""
        for _ in FRAMES:
            if frame is None:
                break
            site = known(id(frame.f_code), NOBODY)
            if site is NOBODY:
                site = self._learn(frame)
            if site is not None:
                if site is HANDLER:
                    return Place(NOBODY, 0, origin)
                if site is not COLLECTOR:
                    return Place(site, frame.f_lineno, origin) if origin else self._place(site, frame)
                origin = origin or _origin(frame)
            frame = frame.f_back
        return NOWHERE

    def _place(self, site: Site, frame: FrameType) -> Place:
        memory, key = self._memory, (id(frame.f_code), frame.f_lasti)
        found = memory.places.get(key)
        if found is None:
            memory.kept.append(frame.f_code)
            found = memory.places[key] = Place(site, frame.f_lineno)
        return found

    def stack(self, frame: FrameType | None) -> tuple[Site, ...]:
        """All code of the project's own, the outermost first."""
        known, found, steps = self._memory.sites, [], DEEPEST
        while frame is not None and steps:
            site = known.get(id(frame.f_code), NOBODY)
            if site is NOBODY:
                site = self._learn(frame)
            if site is HANDLER:
                break
            if site is not None and site is not COLLECTOR:
                found.append(site)
            frame, steps = frame.f_back, steps - 1
        return tuple(reversed(found))

    def of(self, frame: FrameType) -> Site | None:
        site = self._memory.sites.get(id(frame.f_code), NOBODY)
        return self._learn(frame) if site is NOBODY else site

    def test_code(self, frame: FrameType | None) -> Site:
        """Where ``innermost`` gave ``TEST``: the same code with its name, and the context of its module."""
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            if self._site(frame.f_code, module) is TEST:
                where = f"{self._file(frame.f_code.co_filename)}:{qualname(frame.f_code)}"
                return Site(where, self.atlas.of_module(module), is_test=True)
            frame = frame.f_back
        return NOBODY

    def _learn(self, frame: FrameType) -> Site | None:
        if len(self._memory.kept) >= MOST:
            self._memory = Memory()
        memory, code = self._memory, frame.f_code
        memory.kept.append(code)
        memory.sites[id(code)] = found = self._site(code, str(frame.f_globals.get("__name__", "")))
        return found

    def _site(self, code: CodeType, module: str) -> Site | None:
        if (module, code.co_name) in DJANGO:
            return DJANGO[module, code.co_name]
        context = self.atlas.of_module(module)
        if not module or module.partition(".")[0] == "strangler":
            return None
        parts = module.split(".")
        is_test = TESTS & set(parts) or parts[-1].startswith(("test_", "tests_")) or parts[-1].endswith(("_test", "_tests"))
        if is_test and (context != PLATFORM or self._is_below(code.co_filename)):  # pytest loads files that are in no package
            return TEST
        if context == PLATFORM:
            return None
        return Site(f"{self._file(code.co_filename)}:{qualname(code)}", context)

    def _is_below(self, name: str) -> bool:
        path = Path(name).resolve()
        return path.is_relative_to(self._root) and "site-packages" not in path.parts

    def _file(self, name: str) -> str:
        path = Path(name).resolve()
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else path.as_posix()


def qualname(code: CodeType) -> str:
    """Of the innermost def or class, as the source has it: neither ``<locals>`` nor ``<lambda>``."""
    return ".".join(part for part in code.co_qualname.split(".") if not part.startswith("<")) or "*"


def _origin(frame: FrameType) -> str:
    """What was to be deleted, by Django's ``Collector.origin``: an instance or a queryset."""
    origin = getattr(frame.f_locals.get("self"), "origin", None)
    model: Any = getattr(origin, "model", origin)
    return str(model._meta.label) if hasattr(model, "_meta") else ""
