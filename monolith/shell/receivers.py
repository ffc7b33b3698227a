"""What the shell hears of the contexts."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models.signals import post_save

from monolith.shell.models import Activity


def connect() -> None:
    # planted: a signal across contexts, payments → shell, on a model that is found by its name
    post_save.connect(on_refund, sender=apps.get_model("payments.Refund"), dispatch_uid="shell.on_refund")


def on_refund(*, instance: Any, created: bool, **_: Any) -> None:
    """planted: a line in the feed when somebody wants money back. Told again of the same one, it adds nothing."""
    if created:
        text = f"{instance.amount} of payment {instance.payment_id} to be refunded"
        line = Activity(kind="refund", reference=str(instance.pk), text=text, at=instance.created_at)
        Activity.objects.bulk_create([line], ignore_conflicts=True)
