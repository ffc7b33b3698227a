"""Who outside of a context called the code of it that runs a statement, and whether by its contract."""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from types import FrameType
from typing import NamedTuple

from strangler.analysis.runtime.sites import HANDLER, NOBODY, Site, Sites
from strangler.domain.coupling.atlas import Atlas
from strangler.seams.claims import Claim
from strangler.seams.resolution import _Seam

FIXTURES = frozenset({"factories", "factory", "fixtures"})  # code that only tests run, by another name
DISPATCH, SEAMS = "django.dispatch.dispatcher", "strangler.seams"


class Call(NamedTuple):
    caller: Site
    called: Site
    by_contract: bool


def call(context: str, sites: Sites, frame: FrameType | None) -> Call | None:
    """The innermost on the stack. None where test code calls it, a request, or a signal: its receiver is not called, it hears."""
    called, made_by, by_seam, by_signal = NOBODY, "", False, False
    while frame is not None:
        module, site = str(frame.f_globals.get("__name__", "")), sites.of(frame)
        if site is HANDLER:
            return None
        if site is not None and site.where and site.context == context:
            called, made_by, by_seam, by_signal = site, _class(frame), False, False
        elif site is not None and called.where and (site.where or is_test(site)):
            if by_signal or is_test(site):
                return None
            return Call(site, called, by_seam or _is_face(sites.atlas, called) or made_by in _local(sites.atlas))
        by_seam, by_signal = by_seam or module.startswith(SEAMS), by_signal or module == DISPATCH
        frame = frame.f_back
    return None


def is_test(site: Site) -> bool:
    return site.is_test or bool(FIXTURES & set(parts(site)))


def parts(site: Site) -> tuple[str, ...]:
    """``shop/orders/api.py`` → ("shop", "orders", "api")."""
    return PurePosixPath(site.file).with_suffix("").parts if site.file else ()


def _class(frame: FrameType) -> str:
    kind = type(frame.f_locals.get("self"))
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_face(atlas: Atlas, site: Site) -> bool:
    dotted = ".".join(parts(site)).removesuffix(".__init__")
    return any(f".{dotted}".endswith(f".{face}") for face in atlas.faces)


def _local(atlas: Atlas) -> set[str]:
    """The classes behind seams: of a seam that reads, nothing is left on the stack."""
    modules = [sys.modules[face] for face in atlas.faces if face in sys.modules]
    return {one._names[Claim.LOCAL] for module in modules for one in vars(module).values() if isinstance(one, _Seam)}
