"""What products does by itself."""

from __future__ import annotations

from monolith.products import reservations
from strangler.seams import owner_task


@owner_task("products", name="products.expire_reservations")
def expire_reservations() -> int:
    return reservations.expire()
