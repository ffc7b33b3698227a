from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.control.conftest import SmallEstate
from tests.integration.control.ramp.acting import ramp_to_10, stand_in_shadow
from tests.integration.sync.estate import Threads


@pytest.fixture
def shadow(db, around: SmallEstate, settings) -> SmallEstate:
    """In a transaction that is rolled back: for one actor."""
    stand_in_shadow(settings)
    return around


@pytest.fixture
def ramping(shadow: SmallEstate) -> SmallEstate:
    """At 10 %, which it reached itself."""
    ramp_to_10()
    return shadow


@pytest.fixture
def many(estate: SmallEstate, settings) -> SmallEstate:
    """In shadow, on a database that several connections see."""
    stand_in_shadow(settings)
    return estate


@pytest.fixture
def ramping_for_many(many: SmallEstate) -> SmallEstate:
    ramp_to_10()
    return many


@pytest.fixture
def threads() -> Iterator[Threads]:
    started = Threads()
    yield started
    started.join()
