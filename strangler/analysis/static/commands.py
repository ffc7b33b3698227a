"""Management commands of another context, called by their name or by their class."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from strangler.analysis.static.meanings import Meanings, argument
from strangler.analysis.static.source import Finding
from strangler.domain.coupling.edges import Kind

PLACE = ".management.commands."


def called(of: Meanings, call: ast.Call) -> Iterator[Finding]:
    if not of.dotted(call.func).startswith("django.core.management."):
        return
    told = argument(call, "command_name", 0)
    for name in of.texts(told):
        if name in of.project.commands:
            yield Finding(Kind.COMMAND, of.project.commands[name], name)
    for each in of.alternatives(told):
        dotted = of.dotted(each.func) if isinstance(each, ast.Call) else ""
        if PLACE in dotted:  # call_command(seed.Command())
            module, _, rest = dotted.partition(PLACE)
            yield Finding(Kind.COMMAND, of.project.atlas.of_module(module), rest.partition(".")[0])


CALLS = {"call_command": called}
