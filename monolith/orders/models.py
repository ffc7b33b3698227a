"""What was bought, and the intents to have it paid."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no letter is taken for a digit


def draw_number() -> str:
    """A number that says nothing about how many orders there are."""
    return "S-" + "".join(secrets.choice(ALPHABET) for _ in range(10))


class Order(models.Model):
    class State(models.TextChoices):
        PENDING = "pending"
        PAID = "paid"
        PACKED = "packed"
        SHIPPED = "shipped"
        DELIVERED = "delivered"
        RETURNED = "returned"
        CANCELLED = "cancelled"

    class Pay(models.TextChoices):
        NOW = "now"
        LATER = "later"

    number = models.CharField(max_length=20, unique=True, default=draw_number)
    # planted: foreign key across contexts, orders → customers
    customer = models.ForeignKey("customers.Customer", on_delete=models.PROTECT, related_name="orders")
    user_id = models.BigIntegerField(db_index=True, help_text="who ordered, by value: no foreign key to users")
    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    total = models.DecimalField(max_digits=12, decimal_places=2, help_text="what is to be paid, with the discount taken off")
    discount = models.DecimalField(max_digits=12, decimal_places=2, default=0, db_default=0)
    coupon = models.ForeignKey("Coupon", on_delete=models.SET_NULL, null=True, blank=True, related_name="orders")
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
            models.CheckConstraint(condition=Q(discount__gte=0), name="orders_discount_not_negative"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state="pending"), name="orders_pending"),
            models.Index(fields=["id"], condition=Q(state="cancelled"), name="orders_cancelled"),
        ]

    def __str__(self) -> str:
        return self.number


class Coupon(models.Model):
    """So many percent, or an amount, off an order. ``used`` never exceeds ``max_uses``."""

    code = models.CharField(max_length=40, unique=True, help_text="in capitals; customers may write it as they like")
    percent = models.PositiveSmallIntegerField(null=True, blank=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    currency = models.CharField(max_length=3, default="EUR", help_text="ISO 4217")
    min_total = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField()
    max_uses = models.PositiveIntegerField(default=1)
    used = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(percent=None) ^ Q(amount=None), name="orders_coupon_percent_or_amount"),
            models.CheckConstraint(condition=Q(percent=None) | Q(percent__range=(1, 100)), name="orders_coupon_percent"),
            models.CheckConstraint(condition=Q(amount=None) | Q(amount__gt=0), name="orders_coupon_amount"),
            models.CheckConstraint(condition=Q(used__lte=models.F("max_uses")), name="orders_coupon_uses"),
        ]

    def __str__(self) -> str:
        return self.code

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.code = self.code.upper()
        super().save(*args, **kwargs)


class OrderEvent(models.Model):
    """One step of an order's way, noted in the transaction that made it."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="events")
    before = models.CharField(max_length=20, blank=True)
    after = models.CharField(max_length=20)
    by = models.BigIntegerField(null=True, blank=True, help_text="the user who did it, by value; none: the shop itself")
    reason = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.before} → {self.after}"


class CartLine(models.Model):
    """What a user wants to buy. The cart of somebody who isn't logged in lies in their session."""

    user_id = models.BigIntegerField(help_text="whose it is, by value")
    sku = models.CharField(max_length=40)
    quantity = models.PositiveIntegerField()
    changed_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["user_id", "sku"], name="orders_cart_line_once"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="orders_cart_quantity_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.sku}"


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


class Return(models.Model):
    """Goods that come back. Received, its money is due; what the seam could not do at once, the periodic task does."""

    class State(models.TextChoices):
        REQUESTED = "requested"
        APPROVED = "approved"
        REJECTED = "rejected"
        RECEIVED = "received"  # the goods are back in stock, the refund is due
        REFUNDED = "refunded"

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="returns")
    state = models.CharField(max_length=20, choices=State.choices, default=State.REQUESTED)
    reason = models.CharField(max_length=200, blank=True)
    amount = models.DecimalField(max_digits=12, decimal_places=2, help_text="what is given back for it")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=Q(amount__gte=0), name="orders_return_not_negative")]
        indexes = [models.Index(fields=["updated_at"], condition=Q(state="received"), name="orders_return_due")]

    def __str__(self) -> str:
        return f"{self.order_id} {self.state}"


class ReturnLine(models.Model):
    returned = models.ForeignKey(Return, on_delete=models.CASCADE, related_name="lines")
    line = models.ForeignKey(OrderLine, on_delete=models.CASCADE, related_name="returns")
    quantity = models.PositiveIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["returned", "line"], name="orders_return_line_once"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="orders_return_quantity_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.line_id}"
