"""What other contexts may know of customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from monolith.binding import local
from monolith.problems import Problem


@dataclass(frozen=True)
class CustomerRecord:
    id: int
    user_id: int
    name: str


@dataclass(frozen=True)
class Profile:
    name: str
    phone: str
    language: str
    currency: str
    time_zone: str
    newsletter: bool


@dataclass(frozen=True)
class AddressRecord:
    id: int
    label: str
    recipient: str
    street: str
    postcode: str
    city: str
    country: str
    is_default: bool


class NotMergeable(Problem):
    title = "Not mergeable"


class Customers(Protocol):
    def profile(self, *, user_id: int) -> Profile: ...

    def update(self, *, user_id: int, **fields: Any) -> None:
        """Sets the given fields of ``Profile``. Raises ``django.core.exceptions.ValidationError``."""

    def addresses(self, *, user_id: int) -> list[AddressRecord]: ...

    def add_address(self, *, user_id: int, **fields: Any) -> AddressRecord:
        """The first one becomes the default."""

    def remove_address(self, *, user_id: int, address_id: int) -> bool:
        """Whether there was one of this user's."""

    def prefer_address(self, *, user_id: int, address_id: int) -> bool:
        """Make it the default; whether there is one of this user's."""

    def for_user(self, *, user_id: int) -> CustomerRecord:
        """The user's profile; an empty one is made for a user who has none. Idempotent."""


customers: Customers = local("monolith.customers.services.LocalCustomers")
