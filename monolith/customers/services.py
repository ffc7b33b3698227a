"""Writes of customers."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from monolith.customers.contract import CustomerRecord
from monolith.customers.models import Address, Customer


class LocalCustomers:
    def for_user(self, *, user_id: int) -> CustomerRecord:
        customer = Customer.objects.filter(user_id=user_id).first() or customer_ensure(user_id=user_id)
        return CustomerRecord(customer.pk, user_id, customer.name)


def customer_ensure(*, user_id: int) -> Customer:
    return Customer.objects.get_or_create(user_id=user_id)[0]


def customer_update(*, user_id: int, **fields: Any) -> Customer:
    """Sets the given ones of ``name`` and ``phone``."""
    customer = customer_ensure(user_id=user_id)
    for name, value in fields.items():
        setattr(customer, name, value)
    customer.save(update_fields=[*fields, "updated_at"])
    return customer


@transaction.atomic
def address_add(*, user_id: int, **fields: Any) -> Address:
    """The first address, and one that says so, becomes the default in place of the former."""
    customer = customer_ensure(user_id=user_id)
    addresses = Address.objects.filter(customer=Customer.objects.select_for_update().get(pk=customer.pk))
    if fields.pop("is_default", False) or not addresses.exists():
        addresses.filter(is_default=True).update(is_default=False)
        fields["is_default"] = True
    return Address.objects.create(customer=customer, **fields)


def address_remove(*, user_id: int, address_id: int) -> bool:
    """Whether there was one of this user's."""
    return Address.objects.filter(pk=address_id, customer__user_id=user_id).delete()[0] > 0
