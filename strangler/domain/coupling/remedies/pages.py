"""Templates and URLs."""

from __future__ import annotations

from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.remedies.case import Case
from strangler.domain.coupling.remedies.catalogue import Advice, Remedy


def page(case: Case) -> Advice:
    edge = case.edge
    if edge.kind is Kind.URL_NAME:
        because = f"it links to {edge.what} of {edge.target} by name."
        instead = (
            "It may stay: a lift keeps ROOT_URLCONF, so names resolve, and the proxy finds the owner. In another "
            "language the path is a setting."
        )
        return case.advise(Remedy.KEEP, because, instead)
    if edge.kind is Kind.URL_INCLUDE:
        because = f"the URLs of {edge.target} hang below those of {edge.source}."
        instead = (
            f"Include {edge.what} from the project's URLconf, under the same prefix, and declare that as a route of "
            f"{edge.target}."
        )
        return case.advise(Remedy.DELETE, because, instead)
    because = f"{edge.source} is rendered with {edge.what}, a template of {edge.target}."
    if "extends" in case.text:
        instead = "Move it to the project's own templates: what all pages look like belongs to none of them."
        return case.advise(Remedy.DELETE, because, instead)
    instead = f"Copy it to the templates of {edge.source}, with what it is given as plain values, and delete the reference."
    return case.advise(Remedy.DELETE, because, instead)
