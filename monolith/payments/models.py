"""What was paid and what was given back."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Payment(models.Model):
    class State(models.TextChoices):
        PROCESSING = "processing"  # asked for; the outcome is not known yet
        AUTHORISED = "authorised"  # the money is held
        CAPTURED = "captured"
        DECLINED = "declined"
        REFUNDED = "refunded"
        FAILED = "failed"

    # planted: foreign key across contexts with a cascade, payments → orders; loosened before the cut (P25)
    order = models.ForeignKey("orders.Order", on_delete=models.CASCADE, related_name="payments")
    # planted: foreign key across contexts, payments → users
    user = models.ForeignKey("users.User", on_delete=models.PROTECT, related_name="payments")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    method = models.CharField(max_length=40)
    state = models.CharField(max_length=20, choices=State.choices, default=State.PROCESSING)
    idempotency_key = models.CharField(max_length=255)
    provider_reference = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=200, blank=True, help_text="why it was declined or failed")
    created_at = models.DateTimeField(auto_now_add=True)
    captured_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "idempotency_key"], name="payments_charge_once"),
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(state__in=["processing", "authorised", "captured"]),
                name="payments_one_live_per_order",
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="payments_amount_not_negative"),
        ]
        indexes = [
            models.Index(fields=["created_at"], condition=Q(state="processing"), name="payments_processing"),
            models.Index(fields=["order"], condition=Q(state="refunded"), name="payments_refunded"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} {self.state}"


class Refund(models.Model):
    class State(models.TextChoices):
        PROCESSING = "processing"
        DONE = "done"

    payment = models.ForeignKey(Payment, on_delete=models.CASCADE, related_name="refunds")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    state = models.CharField(max_length=20, choices=State.choices, default=State.PROCESSING)
    idempotency_key = models.CharField(max_length=255)
    provider_reference = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["payment", "idempotency_key"], name="payments_refund_once"),
        ]
        indexes = [
            models.Index(fields=["created_at"], condition=Q(state="processing"), name="payments_refund_processing"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} of payment {self.payment_id}"


class IdempotencyKey(models.Model):
    """The answer that was given to a charge with this key, for the one who asks again. Moves with the context's other rows."""

    user_id = models.BigIntegerField()
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what was asked for")
    response = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["user_id", "key"], name="payments_idempotency_key")]

    def __str__(self) -> str:
        return self.key
