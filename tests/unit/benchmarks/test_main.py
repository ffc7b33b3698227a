"""``python -m tests.benchmarks``: names and options."""

from __future__ import annotations

import pytest

from tests.benchmarks.__main__ import main


@pytest.mark.parametrize("words", [["nothing-like-that"], ["--only", "relay"], ["capture", "sync", "--only", "relay"]])
def test_what_is_not_understood_is_misuse(words, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err
