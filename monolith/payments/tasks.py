"""What payments does by itself, on the side that owns it."""

from __future__ import annotations

from datetime import timedelta

from monolith.payments import services, webhook
from strangler.seams import owner_task

PATIENCE = timedelta(seconds=5)  # longer than a request takes that is still asking


@owner_task("payments", name="payments.resolve_processing")
def resolve_processing() -> int:
    """Ask the provider about what is still processing, and handle the events that came too early; how many there were."""
    return services.resolve(older_than=PATIENCE) + webhook.handle_waiting()
