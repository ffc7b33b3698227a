from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.buckets import BUCKETS, bucket, included


@given(st.text(), st.text(), st.integers(0, 99))
def test_a_share_only_grows_by_the_same_users(salt: str, key: str, percent: int) -> None:
    number = bucket(salt, key)
    assert not included(number, percent) or included(number, percent + 1)


@given(st.text(), st.text())
def test_nobody_is_in_0_percent_and_everybody_in_100(salt: str, key: str) -> None:
    number = bucket(salt, key)
    assert 0 <= number < BUCKETS
    assert not included(number, 0)
    assert included(number, 100)


def test_buckets_are_the_same_for_ever() -> None:
    """Golden values: another implementation, or another release, must not move users."""
    assert [bucket("salt", key) for key in ("1", "2", "42", "ä", "")] == [4688, 9801, 2753, 6357, 7643]


def test_a_share_is_about_its_size_and_a_salt_mixes_anew() -> None:
    first = {user for user in range(20_000) if included(bucket("a", str(user)), 10)}
    second = {user for user in range(20_000) if included(bucket("b", str(user)), 10)}
    assert 1_800 < len(first) < 2_200
    assert 120 < len(first & second) < 290
