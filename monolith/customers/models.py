"""The profile of who buys, and where to send it."""

from __future__ import annotations

from django.db import models


class Customer(models.Model):
    # planted: OneToOne across contexts, customers → users, with a cascade
    user = models.OneToOneField("users.User", on_delete=models.CASCADE, related_name="customer")
    name = models.CharField(max_length=200)
    phone = models.CharField(max_length=40, blank=True)
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
