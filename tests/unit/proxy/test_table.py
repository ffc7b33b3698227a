from __future__ import annotations

from pathlib import Path

import pytest

from strangler.domain.table import TableError
from strangler_proxy import table


def test_a_stored_table_is_whole_or_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "table.json"
    table.store(file, '{"version": 1}')

    def crash(descriptor: int) -> None:
        raise OSError("the power went")

    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(OSError, match="power"):
        table.store(file, '{"version": 2}')
    assert file.read_text() == '{"version": 1}'


def test_a_missing_file_is_no_table_and_a_broken_one_is_an_error(tmp_path: Path) -> None:
    assert table.load(tmp_path / "none.json") is None
    (tmp_path / "half.json").write_text('{"generation": 1, "ver')
    with pytest.raises(TableError, match="is not JSON"):
        table.load(tmp_path / "half.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(TableError):
        table.load(tmp_path / "deep.json")
