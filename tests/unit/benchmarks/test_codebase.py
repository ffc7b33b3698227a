"""Generated code bases: what is measured on them is measured on Python that parses, and on the same each time."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.benchmarks.analysis import codebase


def _texts(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        codebase.write(tmp_path / name, 2000, models=10, seed=seed)
    one, same, other = (_texts(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same
    assert one != other


def test_it_is_python_as_long_as_asked_and_no_module_is_another_one(tmp_path: Path) -> None:
    lines = codebase.write(tmp_path, 5000, models=10)
    texts = {path: text for path, text in _texts(tmp_path).items() if path.endswith(".py") and "/shop/" in f"/{path}"}
    assert lines >= 5000
    for path, text in texts.items():
        ast.parse(text, path)
    parts = [text for path, text in texts.items() if "/parts/" in path and text]
    assert len(set(parts)) == len(parts) > 5
