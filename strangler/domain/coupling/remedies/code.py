"""Code that calls code of another context, and crossings that may stay."""

from __future__ import annotations

from strangler.domain.coupling.edges import Kind
from strangler.domain.coupling.remedies.case import Case
from strangler.domain.coupling.remedies.catalogue import Advice, Remedy


def code(case: Case) -> Advice:
    edge = case.edge
    because, instead = {
        Kind.GET_MODEL: (
            f"it finds {edge.what} by its name, an import that no linter sees.",
            f"Ask `{case.seam}` of `{case.contract}` for what is wanted of it; reading on works on a copy, writing "
            "meets the fence.",
        ),
        Kind.SETTING: (
            f"it finds code of {edge.target} through settings.{edge.what}.",
            f"Name what `{case.contract}` shows there: its dotted name stays the same when the code behind it is remote.",
        ),
        Kind.COMMAND: (
            f"it runs the command {edge.what} of {edge.target}, which writes where it runs.",
            f"Call the method of `{case.contract}` that the command calls; once {edge.target} has moved the command "
            "ends at the fence, with a sentence.",
        ),
    }.get(edge.kind, _import(case))
    if edge.kind is Kind.ADMIN:
        because = f"{edge.source} registers {edge.what} in the admin, which is for {edge.target} to do."
        instead = (
            f"Move the class to the admin.py of {edge.target}. Once that has moved its pages are read-only here by "
            "themselves, and say who owns it."
        )
        return case.advise(Remedy.DELETE, because, instead)
    return case.advise(Remedy.SEAM, because, instead)


def _import(case: Case) -> tuple[str, str]:
    edge = case.edge
    because = f"{edge.source} knows {edge.target} from inside, by {edge.what}."
    carried = " A lift brings the module along, but not the rights on its tables." if case.out else ""
    instead = (
        f"Import from `{case.contract}` instead: a Protocol with what is asked, records without a row, and "
        f'`{case.seam} = seam("{edge.target}", local=…, remote=…, writes={{…}})`.'
    )
    return because, instead + carried


def goes_along(case: Case) -> Advice:
    """The project's own code outside of apps has no contract, and needs none."""
    because = f"{case.edge.what} is the project's, outside of any context."
    instead = "It may stay: a lift brings it along. In another language the service has one of its own."
    return case.advise(Remedy.KEEP, because, instead)


def agreed(case: Case) -> Advice:
    edge = case.edge
    if edge.kind is Kind.SEAM:
        because = f"it knows {edge.target} by its contract alone."
        return case.advise(Remedy.KEEP, because, "That is the way to know it: local or remote, the caller stays the same.")
    if edge.kind is Kind.TYPING_IMPORT:
        return case.advise(Remedy.KEEP, "only the type checker sees it.", "It may stay; a record of the contract says more.")
    because = f"it waits for {edge.what}: its tables are made after some of {edge.target}."
    return case.advise(
        Remedy.KEEP,
        because,
        "It may stay: a lift runs the project's own migrations. It goes when no key or view needs it.",
    )
