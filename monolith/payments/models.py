"""What was paid, what was given back, and the ledger of both."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Payment(models.Model):
    class State(models.TextChoices):
        PROCESSING = "processing"  # asked for; the outcome is not known yet
        AUTHORISED = "authorised"  # the money is held
        CAPTURED = "captured"
        DECLINED = "declined"
        PARTLY_REFUNDED = "partly_refunded"
        REFUNDED = "refunded"
        FAILED = "failed"

    # planted: foreign key across contexts with a cascade, payments → orders; loosened before the cut (P25)
    order = models.ForeignKey("orders.Order", on_delete=models.CASCADE, related_name="payments")
    # planted: foreign key across contexts, payments → users
    user = models.ForeignKey("users.User", on_delete=models.PROTECT, related_name="payments")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    refunded_amount = models.DecimalField(max_digits=12, decimal_places=2, default=0, db_default=0)
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
                condition=Q(state__in=["processing", "authorised", "captured", "partly_refunded"]),
                name="payments_one_live_per_order",
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="payments_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(refunded_amount__gte=0) & Q(refunded_amount__lte=models.F("amount")), name="payments_refunded_within"
            ),
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
        FAILED = "failed"

    payment = models.ForeignKey(Payment, on_delete=models.CASCADE, related_name="refunds")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    state = models.CharField(max_length=20, choices=State.choices, default=State.PROCESSING)
    idempotency_key = models.CharField(max_length=255)
    provider_reference = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=200, blank=True, db_default="", help_text="why it failed")
    # planted: SET_NULL across contexts, payments → users
    asked_by = models.ForeignKey("users.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["payment", "idempotency_key"], name="payments_refund_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payments_refund_positive"),
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


class Transfer(models.Model):
    """One movement of the ledger: ``amount`` leaves one account and enters another, so the books balance by construction."""

    class Account(models.TextChoices):
        PROVIDER = "provider"  # what the provider owes us
        SALES = "sales"
        REFUNDS = "refunds"
        FEES = "fees"

    class Kind(models.TextChoices):
        CAPTURE = "capture"
        FEE = "fee"
        REFUND = "refund"

    key = models.CharField(max_length=64, unique=True, help_text="what it stands for: each is booked once")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    payment = models.ForeignKey(Payment, on_delete=models.CASCADE, related_name="transfers")
    debit = models.CharField(max_length=10, choices=Account.choices, help_text="the account that it enters")
    credit = models.CharField(max_length=10, choices=Account.choices, help_text="the account that it leaves")
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="payments_transfer_positive"),
            models.CheckConstraint(condition=~Q(debit=models.F("credit")), name="payments_transfer_moves"),
        ]
        indexes = [models.Index(fields=["at"], name="payments_transfer_at")]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} {self.currency}"


class ProviderEvent(models.Model):
    """What the provider told by its webhook, each event once. One whose payment isn't here yet waits."""

    id = models.CharField(max_length=64, primary_key=True)
    kind = models.CharField(max_length=40)
    payload = models.JSONField()
    received_at = models.DateTimeField(auto_now_add=True)
    handled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-received_at"]
        indexes = [models.Index(fields=["received_at"], condition=Q(handled_at=None), name="payments_event_waiting")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
