from decimal import Decimal

import pytest

from monolith.payments import provider
from monolith.payments.contract import METHODS

ASKED = {"amount": Decimal("9.90"), "currency": "EUR"}


@pytest.mark.parametrize(
    ("method", "states"),
    [("ok", ["captured"]), ("authorise", ["authorised"]), ("declined", ["declined"]), ("twice", ["captured", "captured"])],
)
def test_each_method_has_its_answers(method: str, states: list[str]) -> None:
    assert [answer.state for answer in provider.charge(key="k", method=method, **ASKED)] == states


def test_a_lost_answer_is_told_when_asked_again() -> None:
    with pytest.raises(provider.ProviderTimeout):
        provider.charge(key="k", method="timeout", **ASKED)
    assert provider.find(key="k", method="timeout").state == "captured"


@pytest.mark.parametrize("method", [method for method in METHODS if method != "timeout"])
def test_the_same_key_is_the_same_charge(method: str) -> None:
    first, again = (provider.charge(key="k", method=method, **ASKED) for _ in range(2))
    assert first == again
    assert provider.charge(key="other", method=method, **ASKED)[0].reference != first[0].reference


def test_the_same_key_is_the_same_refund() -> None:
    first, again = (provider.refund(key="k", reference="ch_1", amount=Decimal(1)) for _ in range(2))
    assert first == again
    assert first.reference != provider.refund(key="k", reference="ch_2", amount=Decimal(1)).reference
