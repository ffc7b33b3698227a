"""The decisions of ``seam``; the lock and the owner behind them are tested on PostgreSQL (integration)."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

import strangler.seams
from strangler.seams import Claim, Fenced, NotOwner, seam

calls: list[tuple[str, Any]] = []
script: list[Exception] = []


class Local:
    def charge(self, amount: int) -> str:
        calls.append(("local", amount))
        if script:
            raise script.pop(0)
        return "charged here"

    def of_order(self, order: int) -> str:
        return f"read here {order}"


class Remote:
    def charge(self, amount: int) -> str:
        calls.append(("remote", amount))
        if script:
            raise script.pop(0)
        return "charged there"

    def of_order(self, order: int) -> str:
        raise AssertionError("reads are local")


payments = seam("payments", local=f"{__name__}.Local", remote=f"{__name__}.Remote", writes={"charge"})


@pytest.fixture(autouse=True)
def _empty() -> None:
    calls.clear()
    script.clear()


@pytest.fixture
def owners() -> Any:
    with mock.patch("strangler.seams.resolution.resolve") as resolve:
        yield resolve


def test_reads_are_local_whoever_owns(owners: mock.Mock) -> None:
    owners.return_value = Claim.REMOTE
    assert payments.of_order(3) == "read here 3"
    owners.assert_not_called()


def test_a_write_goes_to_the_owner(owners: mock.Mock) -> None:
    owners.return_value = Claim.LOCAL
    assert payments.charge(5) == "charged here"
    owners.return_value = Claim.REMOTE
    assert payments.charge(6) == "charged there"
    assert calls == [("local", 5), ("remote", 6)]


def test_a_write_that_was_not_executed_follows_the_owner(owners: mock.Mock) -> None:
    owners.side_effect = [Claim.LOCAL, Claim.REMOTE, Claim.REMOTE]
    script.extend([Fenced("payments"), NotOwner("payments")])
    assert payments.charge(5) == "charged there"
    assert calls == [("local", 5), ("remote", 5), ("remote", 5)]


def test_an_owner_that_stays_away_is_told(owners: mock.Mock, settings: Any) -> None:
    settings.STRANGLER_CLAIM_TIMEOUT = 0.02
    owners.return_value = Claim.REMOTE
    script.extend([NotOwner("payments", "none", 8)] * 1000)
    with pytest.raises(NotOwner):
        payments.charge(5)


def test_the_refusal_of_another_context_is_not_ours_to_repeat(owners: mock.Mock) -> None:
    owners.return_value = Claim.LOCAL
    script.append(Fenced("orders"))
    with pytest.raises(Fenced):
        payments.charge(5)
    assert calls == [("local", 5)]


def test_what_the_code_raises_is_the_callers(owners: mock.Mock) -> None:
    owners.return_value = Claim.LOCAL
    script.append(ValueError("too much"))
    with pytest.raises(ValueError, match="too much"):
        payments.charge(5)


def test_a_method_that_the_contract_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        payments.void(1)


def test_every_exported_name_exists() -> None:
    assert all(hasattr(strangler.seams, name) for name in strangler.seams.__all__)
    with pytest.raises(AttributeError):
        strangler.seams.nothing_of_the_sort  # noqa: B018
