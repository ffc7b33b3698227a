"""The profile of who buys, and where to send it."""

from __future__ import annotations

from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _


def known_time_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(_("There is no time zone %(name)s."), params={"name": name})


class Customer(models.Model):
    # planted: OneToOne across contexts, customers → users, with a cascade
    user = models.OneToOneField("users.User", on_delete=models.CASCADE, related_name="customer")
    name = models.CharField(max_length=200)
    phone = models.CharField(max_length=40, blank=True)
    language = models.CharField(max_length=5, default="en", db_default="en", choices=[("en", "English"), ("de", "Deutsch")])
    currency = models.CharField(max_length=3, default="EUR", db_default="EUR", help_text="ISO 4217")
    time_zone = models.CharField(max_length=64, default="UTC", db_default="UTC", validators=[known_time_zone])
    newsletter = models.BooleanField(default=False, db_default=False)
    # planted: M2M across contexts, customers → products
    favourites = models.ManyToManyField("products.Product", blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Address(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="addresses")
    label = models.CharField(max_length=60, blank=True)
    recipient = models.CharField(max_length=200)
    street = models.CharField(max_length=200)
    postcode = models.CharField(max_length=20)
    city = models.CharField(max_length=100)
    country = models.CharField(max_length=2, default="DE", help_text="ISO 3166-1 alpha-2")
    is_default = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "addresses"
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=models.Q(is_default=True), name="customers_one_default_address"
            )
        ]

    def __str__(self) -> str:
        return f"{self.recipient}, {self.street}, {self.postcode} {self.city}"


class CustomerMerge(models.Model):
    """That a duplicate was merged, and what it was. The duplicate itself is gone."""

    kept = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="merges")
    duplicate_id = models.BigIntegerField(unique=True)
    duplicate = models.JSONField(help_text="its name, phone and user")
    moved = models.JSONField(help_text="how many rows of each model now belong to the one that was kept")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.duplicate_id} → {self.kept_id}"
