"""What other contexts may know of customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from monolith.binding import local


@dataclass(frozen=True)
class CustomerRecord:
    id: int
    user_id: int
    name: str


class Customers(Protocol):
    def for_user(self, *, user_id: int) -> CustomerRecord:
        """The user's profile; an empty one is made for a user who has none. Idempotent."""


customers: Customers = local("monolith.customers.services.LocalCustomers")
