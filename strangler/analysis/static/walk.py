"""One walk over a module, whose nodes every detector is shown that asked for them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace

from strangler.analysis.static.source import Detector, Finding, Project, Source
from strangler.domain.coupling.edges import Edge, Evidence, Found, Skipped

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Detectors = Sequence[type[Detector]]


def scan(project: Project, detectors: Detectors) -> Found:
    edges: dict[tuple[str, ...], Edge] = {}
    skipped: list[Skipped] = []
    for module, path in sorted(project.files.items()):
        file = path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.as_posix()
        try:
            source = read(project, module, file, path.read_bytes())
        except (SyntaxError, ValueError, OSError) as error:
            skipped.append(Skipped("file", file, str(error)))
            continue
        for edge in look(project, source, detectors):
            known = edges.get(edge.key)
            edges[edge.key] = edge if known is None else _joined(known, edge)
    return Found(tuple(edges.values()), tuple(skipped), {"files": len(project.files)})


def read(project: Project, module: str, file: str, text: bytes) -> Source:
    tree = ast.parse(text, file)
    lines = text.decode(errors="replace").splitlines()
    return Source(module, file, project.atlas.of_module(module), tree, lines, _names(module, file, tree))


def look(project: Project, source: Source, detectors: Detectors) -> Iterator[Edge]:
    asked: dict[type[ast.AST], list[Detector]] = {}
    for made in [each(project, source) for each in detectors]:
        for kind in made.nodes:
            asked.setdefault(kind, []).append(made)
    for node, scope in _walk(source.tree, ""):
        source.scope = scope
        for detector in asked.get(type(node), ()):
            for finding in detector.look(node):
                if project.atlas.crosses(source.context, finding.target):
                    yield _edge(source, finding, getattr(node, "lineno", 0))


def _walk(tree: ast.AST, scope: str) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.iter_child_nodes(tree):
        yield node, scope
        inner = ".".join(filter(None, (scope, node.name))) if isinstance(node, SCOPES) else scope
        yield from _walk(node, inner)


def _edge(source: Source, finding: Finding, line: int) -> Edge:
    line = finding.line or line
    text = source.lines[line - 1].strip() if 0 < line <= len(source.lines) else ""
    where = f"{source.file}:{source.scope or '*'}"
    return Edge(
        finding.kind, source.context, finding.target, where, finding.what, finding.note, (Evidence(source.file, line, text),)
    )


def _joined(known: Edge, more: Edge) -> Edge:
    return replace(known, note=known.note or more.note, evidence=tuple(dict.fromkeys(known.evidence + more.evidence)))


def _names(module: str, file: str, tree: ast.Module) -> dict[str, str]:
    """What each name at module level stands for; those imported inside functions too, unless they hide another."""
    package = module if file.endswith("__init__.py") else module.rpartition(".")[0]
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                names.setdefault(one.asname or one.name.partition(".")[0], one.name if one.asname else one.name.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            origin = absolute(package, node.module or "", node.level)
            for one in node.names:
                names.setdefault(one.asname or one.name, f"{origin}.{one.name}")
    for defined in tree.body:
        if isinstance(defined, SCOPES):
            names[defined.name] = f"{module}.{defined.name}"
    return names


def absolute(package: str, name: str, level: int) -> str:
    """``from ..models import x`` in ``shop.orders.api`` → ``shop.models``."""
    if not level:
        return name
    base = package.split(".")[: len(package.split(".")) - (level - 1)]
    return ".".join([*base, name] if name else base)
