"""Reading in several processes gives what reading in one gives."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from strangler.analysis.static import crew, reader, scan
from strangler.analysis.static.source import Finding, Project, Source
from tests.unit.analysis.static.sources import project

TEXT = "from shop.orders.models import Order\ndef f_{}():\n    import shop.users.x\n" + "#" * 5000
FILES = {f"shop/payments/part_{number:03}.py": TEXT.format(number) for number in range(60)}
FILES |= {"shop/payments/bad.py": "def f(:"}


class Fatal:
    """Ends the process that looks at a certain file, as a crash of the interpreter would."""

    nodes: ClassVar[tuple[type[ast.AST], ...]] = (ast.FunctionDef,)

    def __init__(self, project: Project, source: Source) -> None: ...

    def look(self, node: ast.AST) -> Iterator[Finding]:
        if isinstance(node, ast.FunctionDef) and node.name == "f_7" and sys.argv[0] == "-c":
            os._exit(3)
        yield from ()


def test_the_result_does_not_depend_on_how_many_read(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    known = project(tmp_path, FILES)
    alone = scan(known, processes=1)
    together = scan(known, lambda *progress: told.append(progress), processes=2)
    assert together == alone
    assert len(alone.edges) == 120
    assert [one.where for one in alone.skipped] == ["shop/payments/bad.py"]
    assert told == sorted(told)
    assert told[-1] == (61, 61)
    assert len(told) > 2


def test_a_file_of_which_a_process_dies_is_named_and_the_rest_of_its_batch_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))  # as pytest names this module
    got = crew.read_by(2, project(tmp_path, FILES), (Fatal,), lambda done, total: None)
    assert [(one.where, one.why) for one in got.skipped] == [
        ("shop/payments/bad.py", got.skipped[0].why),
        ("shop/payments/part_007.py", "the process that read it ended with 3"),
    ]
    assert got.looked_at["files"] == 61


@pytest.mark.parametrize("executable", ["/no/such/python", "/bin/false"])
def test_where_no_process_can_be_started_this_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    assert len(scan(project(tmp_path, FILES), processes=2).edges) == 120


def test_the_readers_never_import_django(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "START", reader.START.replace("serve()", "assert 'django' not in sys.modules; serve()"))
    (tmp_path / "a.py").write_text("")
    one = reader.Reader(project(tmp_path, {}), ())
    try:
        assert one.read([("a", tmp_path / "a.py")]).files == 1
    finally:
        one.close()


def test_a_closed_reader_starts_no_process_again(tmp_path: Path) -> None:
    one = reader.Reader(project(tmp_path, {}), ())
    one.close()
    with pytest.raises(reader.Died):
        one.read([])
