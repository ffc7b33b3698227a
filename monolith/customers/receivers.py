"""What customers does when an account is made."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models.signals import post_save

from monolith.customers.models import Customer


def connect() -> None:
    # planted: a model of another context, found by its name
    post_save.connect(on_user, sender=apps.get_model("users.User"), dispatch_uid="customers.on_user")


def on_user(*, instance: Any, created: bool, raw: bool, **_: Any) -> None:
    """planted: a signal across contexts. Every account has a profile, made in the account's own transaction."""
    if created and not raw:
        Customer.objects.get_or_create(user_id=instance.pk)
