"""The model of cut-over, rollback, undo and break-glass, every interleaving of small worlds.

``make faults-handover-model`` explores large ones.
"""

from __future__ import annotations

import pytest

from tests.models.handover.explore import explore
from tests.models.handover.state import RULES
from tests.models.handover.worlds import BITES, SMALL, without


@pytest.mark.parametrize("name", SMALL)
def test_every_interleaving_has_one_owner_keeps_every_write_and_comes_to_an_end(name: str) -> None:
    found = explore(SMALL[name])
    assert not found.wrong, f"\n{found}"
    assert found.complete


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_the_model_finds_the_fault(rule: str) -> None:
    found = explore(without(rule))
    assert found.wrong, f"nothing goes wrong without {rule}: {RULES[rule]}"
    assert found.story


def test_each_rule_has_a_world_in_which_it_bites() -> None:
    assert set(BITES) == set(RULES)
