"""What was bought, and the intents to have it paid."""

from __future__ import annotations

import secrets
import uuid

from django.db import models
from django.db.models import Q

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no letter is taken for a digit


def draw_number() -> str:
    """A number that says nothing about how many orders there are."""
    return "S-" + "".join(secrets.choice(ALPHABET) for _ in range(10))


class Order(models.Model):
    class State(models.TextChoices):
        PENDING = "pending"
        PAID = "paid"
        CANCELLED = "cancelled"

    class Pay(models.TextChoices):
        NOW = "now"
        LATER = "later"

    number = models.CharField(max_length=20, unique=True, default=draw_number)
    # planted: foreign key across contexts, orders → customers
    customer = models.ForeignKey("customers.Customer", on_delete=models.PROTECT, related_name="orders")
    user_id = models.BigIntegerField(db_index=True, help_text="who ordered, by value: no foreign key to users")
    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    total = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3, default="EUR", help_text="ISO 4217")
    pay = models.CharField(max_length=10, choices=Pay.choices, default=Pay.NOW)
    method = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=200, blank=True, help_text="why it was cancelled")
    idempotency_key = models.CharField(max_length=255, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True, help_text="SHA-256 of what the checkout asked for")
    placed_at = models.DateTimeField(auto_now_add=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user_id", "idempotency_key"], condition=~Q(idempotency_key=""), name="orders_checkout_once"
            ),
            models.CheckConstraint(condition=Q(total__gte=0), name="orders_total_not_negative"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state="pending"), name="orders_pending"),
            models.Index(fields=["id"], condition=Q(state="cancelled"), name="orders_cancelled"),
        ]

    def __str__(self) -> str:
        return self.number


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    # planted: foreign key across contexts, orders → products
    product = models.ForeignKey("products.Product", on_delete=models.PROTECT, related_name="+")
    sku = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)
    quantity = models.PositiveIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=Q(quantity__gte=1), name="orders_line_quantity_positive")]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.sku}"


class PaymentIntent(models.Model):
    """The promise to charge, committed with the order where payments is remote (P18). Its id is the idempotency key."""

    class State(models.TextChoices):
        OPEN = "open"  # the outcome is not known yet
        AUTHORISED = "authorised"
        CAPTURED = "captured"
        DECLINED = "declined"  # the order is cancelled
        VOID = "void"  # refused: the order has another payment
        REFUND_DUE = "refund_due"  # captured for an order that was cancelled meanwhile
        REFUNDED = "refunded"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    order = models.OneToOneField(Order, on_delete=models.CASCADE, related_name="intent")
    method = models.CharField(max_length=40)
    state = models.CharField(max_length=20, choices=State.choices, default=State.OPEN)
    payment_id = models.BigIntegerField(null=True, blank=True, help_text="the payment, by value")
    attempts = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(state__in=["open", "refund_due"]), name="orders_intent_due")
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"
