"""What orders does by itself."""

from __future__ import annotations

from monolith.orders import intents, services
from strangler.seams import owner_task


@owner_task("orders", name="orders.resume_intents")
def resume_intents() -> int:
    """Pursue charges whose outcome is not known yet."""
    return intents.resume()


@owner_task("orders", name="orders.settle")
def settle() -> int:
    """The floor under the events: no order says other than its payment for longer than the period of this task."""
    return services.settle()
