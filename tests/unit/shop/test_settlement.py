import pytest

from monolith.orders.models import PaymentIntent
from monolith.orders.settlement import payment_state_of, true_state


@pytest.mark.parametrize("payment", ["captured", "refunded"])
def test_a_pending_order_with_money_in_it_is_paid(payment: str) -> None:
    assert true_state("pending", payment) == "paid"


@pytest.mark.parametrize("payment", [None, "processing", "authorised", "declined", "failed"])
def test_a_pending_order_without_money_is_pending(payment: str | None) -> None:
    assert true_state("pending", payment) == "pending"


@pytest.mark.parametrize("payment", [None, "captured", "refunded", "declined"])
def test_a_cancelled_order_stays_cancelled(payment: str | None) -> None:
    assert true_state("cancelled", payment) == "cancelled"


def test_every_state_of_an_intent_says_what_is_known_of_the_payment() -> None:
    known = {state: payment_state_of(state) for state in PaymentIntent.State}
    assert known.pop(PaymentIntent.State.VOID) is None
    assert all(known.values())
    assert known[PaymentIntent.State.OPEN] == "processing"
