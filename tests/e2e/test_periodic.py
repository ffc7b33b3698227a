"""What nobody asks for happens all the same: beat sends the task, the worker runs it."""

from __future__ import annotations

import pytest

from tests.e2e.test_couplings_by_stage import until
from tests.operator import Operator

pytestmark = [pytest.mark.estate, pytest.mark.timeout(180)]

HOLD = """
    WITH taken AS (UPDATE products_product SET stock = stock - 3 WHERE id = 400 RETURNING id)
    INSERT INTO products_reservation (reference, product_id, quantity, state, expires_at, created_at)
    SELECT 'left behind', id, 3, 'held', now() - interval '1 second', now() FROM taken
"""


def test_goods_that_were_held_too_long_are_back_on_the_shelf(operator: Operator) -> None:
    stock = "SELECT stock FROM products_product WHERE id = 400"
    ((before,),) = operator.query("monolith", stock)
    operator.write("monolith", HOLD)
    assert operator.query("monolith", stock) == [(before - 3,)]
    state = "SELECT state FROM products_reservation WHERE reference = 'left behind'"
    until(lambda: operator.query("monolith", state) == [("released",)], "the end of the reservation", 90)
    assert operator.query("monolith", stock) == [(before,)]
