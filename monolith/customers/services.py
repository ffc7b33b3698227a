"""Writes of customers."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.db import transaction

from monolith.customers import selectors
from monolith.customers.contract import AddressRecord, CustomerRecord, NotMergeable, Profile
from monolith.customers.models import Address, Customer, CustomerMerge


class LocalCustomers:
    def profile(self, *, user_id: int) -> Profile:
        found = customer_ensure(user_id=user_id)
        return Profile(**{name.name: getattr(found, name.name) for name in dataclasses.fields(Profile)})

    def update(self, *, user_id: int, **fields: Any) -> None:
        customer_update(user_id=user_id, **fields)

    def addresses(self, *, user_id: int) -> list[AddressRecord]:
        return [_address(address) for address in selectors.addresses_of(user_id=user_id)]

    def add_address(self, *, user_id: int, **fields: Any) -> AddressRecord:
        return _address(address_add(user_id=user_id, **fields))

    def remove_address(self, *, user_id: int, address_id: int) -> bool:
        return address_remove(user_id=user_id, address_id=address_id)

    def prefer_address(self, *, user_id: int, address_id: int) -> bool:
        return address_prefer(user_id=user_id, address_id=address_id)

    def for_user(self, *, user_id: int) -> CustomerRecord:
        customer = Customer.objects.filter(user_id=user_id).first() or customer_ensure(user_id=user_id)
        return CustomerRecord(customer.pk, user_id, customer.name)


def customer_ensure(*, user_id: int) -> Customer:
    return Customer.objects.get_or_create(user_id=user_id)[0]


def customer_update(*, user_id: int, **fields: Any) -> Customer:
    """Sets the given fields. Raises ``ValidationError``."""
    customer = customer_ensure(user_id=user_id)
    for name, value in fields.items():
        setattr(customer, name, value)
    customer.clean_fields(exclude={field.name for field in Customer._meta.fields} - set(fields))
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


@transaction.atomic
def address_prefer(*, user_id: int, address_id: int) -> bool:
    """The customer's row is locked, so that two at once can't make two defaults."""
    customer = Customer.objects.select_for_update().filter(user_id=user_id).first()
    mine = Address.objects.filter(customer=customer)
    if customer is None or not mine.filter(pk=address_id).exists():
        return False
    mine.filter(is_default=True).exclude(pk=address_id).update(is_default=False)
    mine.filter(pk=address_id).update(is_default=True)
    return True


@transaction.atomic
def merge(*, keep_id: int, duplicate_id: int) -> CustomerMerge:
    """planted: rewrites every foreign key to the duplicate, of whatever context, and removes it. Idempotent.

    Raises ``NotMergeable``. Rows are locked in order of id, so two merges at once wait for each other instead of deadlocking.
    """
    done = CustomerMerge.objects.filter(duplicate_id=duplicate_id).first()
    if done is not None:
        return done
    locked = {
        customer.pk: customer
        for customer in Customer.objects.select_for_update().filter(pk__in=[keep_id, duplicate_id]).order_by("pk")
    }
    done = CustomerMerge.objects.filter(duplicate_id=duplicate_id).first()
    if done is not None:
        return done
    if keep_id == duplicate_id or len(locked) != 2:
        raise NotMergeable("Name two customers that are there.", keep=keep_id, duplicate=duplicate_id)
    kept, duplicate = locked[keep_id], locked[duplicate_id]
    moved = {}
    for relation in Customer._meta.related_objects:
        rows = relation.related_model._base_manager.filter(**{relation.field.name: duplicate})
        if relation.related_model is Address:
            rows.update(is_default=False)
        if relation.one_to_one or relation.many_to_many:
            raise NotMergeable(f"{relation.related_model._meta.label} can't belong to two customers.")
        moved[relation.related_model._meta.label] = rows.update(**{relation.field.name: kept})
    kept.favourites.add(*duplicate.favourites.all())
    was = {"name": duplicate.name, "phone": duplicate.phone, "user": duplicate.user_id}
    duplicate.delete()
    return CustomerMerge.objects.create(kept=kept, duplicate_id=duplicate_id, duplicate=was, moved=moved)


def _address(address: Address) -> AddressRecord:
    return AddressRecord(**{name.name: getattr(address, name.name) for name in dataclasses.fields(AddressRecord)})


def address_remove(*, user_id: int, address_id: int) -> bool:
    """Whether there was one of this user's."""
    return Address.objects.filter(pk=address_id, customer__user_id=user_id).delete()[0] > 0
