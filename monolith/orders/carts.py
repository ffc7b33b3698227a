"""Carts of users. One statement a change, so two tabs at once lose nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from monolith.orders.contract import MOST_OF_ONE
from monolith.orders.models import CartLine

ADD = """
    INSERT INTO orders_cartline AS c (user_id, sku, quantity, changed_at) VALUES (%s, %s, %s, now())
    ON CONFLICT (user_id, sku) DO UPDATE SET quantity = least(%s, c.quantity + EXCLUDED.quantity), changed_at = now()
"""


class LocalCarts:
    def quantities(self, *, user_id: int) -> dict[str, int]:
        return dict(CartLine.objects.filter(user_id=user_id).values_list("sku", "quantity"))

    def put(self, *, user_id: int, sku: str, quantity: int) -> None:
        if quantity <= 0:
            CartLine.objects.filter(user_id=user_id, sku=sku).delete()
            return
        values: dict[str, Any] = {"quantity": min(quantity, MOST_OF_ONE), "changed_at": timezone.now()}
        CartLine.objects.update_or_create(user_id=user_id, sku=sku, defaults=values)

    @transaction.atomic
    def add(self, *, user_id: int, quantities: Mapping[str, int]) -> None:
        """In order of SKU, so that two merges wait instead of deadlocking."""
        with connection.cursor() as cursor:
            for sku, quantity in sorted(quantities.items()):
                cursor.execute(ADD, [user_id, sku, min(quantity, MOST_OF_ONE), MOST_OF_ONE])

    def clear(self, *, user_id: int) -> None:
        CartLine.objects.filter(user_id=user_id).delete()


def forget(*, older_than: timedelta, batch: int = 1000) -> int:
    """Removes lines that nobody has touched for so long; how many."""
    gone = 0
    while True:
        old = CartLine.objects.filter(changed_at__lt=timezone.now() - older_than).values("pk")[:batch]
        count = CartLine.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]
        gone += count
        if count < batch:
            return gone
