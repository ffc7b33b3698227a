"""The properties that `make fuzz` looks for hold for what it starts from."""

from __future__ import annotations

import pytest

from tests.fuzz import seeds
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_breaks_no_property(name: str) -> None:
    found = list(seeds.of(name))
    assert found
    for seed in found:
        for start in (seed, *(seed[:1] + seed[at:] for at in range(2, min(12, len(seed)), 3))):
            TARGETS[name](start)
