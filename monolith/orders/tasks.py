"""What orders does by itself."""

from __future__ import annotations

from datetime import timedelta

from monolith.orders import carts, intents, returns, services
from strangler.seams import owner_task


@owner_task("orders", name="orders.resume_intents")
def resume_intents() -> int:
    """Pursue charges whose outcome is not known yet."""
    return intents.resume()


@owner_task("orders", name="orders.settle")
def settle() -> int:
    """The floor under the events: no order says other than its payment for longer than the period of this task."""
    return services.settle() + returns.resume()


@owner_task("orders", name="orders.forget_carts")
def forget_carts() -> int:
    """Carts that nobody has touched for three months."""
    return carts.forget(older_than=timedelta(days=90))
