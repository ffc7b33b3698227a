"""Reads of customers."""

from __future__ import annotations

from django.db.models import QuerySet

from monolith.customers.models import Address


def addresses_of(*, user_id: int) -> QuerySet[Address]:
    return Address.objects.filter(customer__user_id=user_id).order_by("id")
