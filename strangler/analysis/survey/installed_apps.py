"""INSTALLED_APPS as the source of the settings has it, read and not run."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from strangler.analysis.survey.contexts import NEVER, installed
from strangler.analysis.survey.modules import places

NAME = "INSTALLED_APPS"
DEEPEST = 20
GROWING = ("append", "extend", "insert")
Known = dict[str, list[str]]


def read(root: Path, module: str) -> list[str]:
    """All that any branch adds. Empty when there is no list that can be read."""
    return list(dict.fromkeys(_names(root, module, DEEPEST, {}).get(NAME, ())))


def _names(root: Path, module: str, left: int, asked: dict[str, Known], *, named: bool = True) -> Known:
    """Every list of texts at module level, also through ``from .base import *``.

    ``asked``: modules that were read, or are being read; one is read once, also where they import each other. ``named``: a
    setting is wanted of it; else an installed package is not opened.
    """
    if module in asked or not module or not left:
        return asked.get(module, {})
    if module.partition(".")[0] in NEVER | sys.stdlib_module_names:
        return {}
    path = next((one for one in places(root, module) if named or not installed(one)), None)
    if path is None:
        return {}
    asked[module] = {}
    file = path / "__init__.py" if path.is_dir() else path
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return {}
    known: Known = {}
    package = module if path.is_dir() else module.rpartition(".")[0]
    for node in _statements(tree):
        if isinstance(node, ast.ImportFrom):
            known.update(_imported(root, package, node, left, asked))
        else:
            _run(node, known)
    asked[module] = known
    return known


def _imported(root: Path, package: str, node: ast.ImportFrom, left: int, asked: dict[str, Known]) -> Known:
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    wanted = {one.name: one.asname or one.name for one in node.names}
    named = "*" in wanted or any(map(str.isupper, wanted))
    found = _names(root, ".".join([*above, *([node.module] if node.module else [])]), left - 1, asked, named=named)
    return {wanted.get(name, name): list(texts) for name, texts in found.items() if "*" in wanted or name in wanted}


def _statements(tree: ast.Module | ast.stmt) -> list[ast.stmt]:
    """Those of both branches of an ``if``, and of a ``try``."""
    found: list[ast.stmt] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            found += _statements(node)  # type: ignore[arg-type]
        elif isinstance(node, ast.stmt):
            found.append(node)
    return found


def _run(node: ast.stmt, known: Known) -> None:
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                known[target.id] = _texts(node.value, known)
    elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        known[node.target.id] = known.get(node.target.id, []) + _texts(node.value, known)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call, function = node.value, node.value.func
        if (
            isinstance(function, ast.Attribute)
            and function.attr in GROWING
            and isinstance(function.value, ast.Name)
            and call.args
        ):
            known.setdefault(function.value.id, []).extend(_texts(call.args[-1], known))


def _texts(value: ast.expr, known: Known) -> list[str]:
    if isinstance(value, ast.Constant):
        return [value.value] if isinstance(value.value, str) else []
    if isinstance(value, ast.Name):
        return list(known.get(value.id, ()))
    if isinstance(value, ast.List | ast.Tuple | ast.Set):
        return [text for one in value.elts for text in _texts(one, known)]
    if isinstance(value, ast.Starred):
        return _texts(value.value, known)
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return _texts(value.left, known) + _texts(value.right, known)
    if isinstance(value, ast.IfExp):
        return _texts(value.body, known) + _texts(value.orelse, known)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("list", "tuple") and value.args:
        return _texts(value.args[0], known)
    return []
