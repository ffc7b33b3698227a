"""The ledger: every capture, fee and refund is a transfer between accounts, booked in the transaction of what it stands for.

Nothing is ever changed in it. What the provider owes us is all that entered ``provider`` less all that left it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.db.models import Case, DecimalField, F, OuterRef, Q, Subquery, Sum, When
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from monolith.payments.models import Payment, Refund, Transfer

FEE_RATE, FEE_FIXED = Decimal("0.014"), Decimal("0.25")
Account, Kind = Transfer.Account, Transfer.Kind


def fee_of(amount: Decimal) -> Decimal:
    """What the provider keeps, to the cent; never more than the amount."""
    return min(amount, (amount * FEE_RATE + FEE_FIXED).quantize(Decimal("0.01"), ROUND_HALF_UP))


def book_capture(payment: Payment, *, at: datetime) -> None:
    Transfer.objects.bulk_create(capture_of(payment, at), ignore_conflicts=True)


def book_refund(refund: Refund, *, at: datetime) -> None:
    Transfer.objects.bulk_create([refund_of(refund, refund.payment.currency, at)], ignore_conflicts=True)


def capture_of(payment: Payment, at: datetime) -> list[Transfer]:
    fee = fee_of(payment.amount)
    booked = [(Kind.CAPTURE, Account.PROVIDER, Account.SALES, payment.amount), (Kind.FEE, Account.FEES, Account.PROVIDER, fee)]
    return [
        Transfer(
            key=f"{kind}-{payment.pk}",
            kind=kind,
            payment_id=payment.pk,
            debit=debit,
            credit=credit,
            amount=amount,
            currency=payment.currency,
            at=at,
        )
        for kind, debit, credit, amount in booked
        if amount
    ]


def refund_of(refund: Refund, currency: str, at: datetime) -> Transfer:
    return Transfer(
        key=f"{Kind.REFUND}-{refund.pk}",
        kind=Kind.REFUND,
        payment_id=refund.payment_id,
        debit=Account.REFUNDS,
        credit=Account.PROVIDER,
        amount=refund.amount,
        currency=currency,
        at=at,
    )


def post_missing(*, batch: int = 1000) -> Iterator[int]:
    """Books what was captured or refunded before there was a ledger, in batches; gives how many transfers each. Idempotent."""
    paid = Payment.objects.exclude(captured_at=None).exclude(transfers__kind=Kind.CAPTURE).order_by("id")
    while found := list(paid[:batch]):
        yield _book(
            [transfer for payment in found for transfer in capture_of(payment, payment.captured_at or payment.created_at)]
        )
    booked = Transfer.objects.filter(kind=Kind.REFUND).values("key")
    last = 0
    while refunds := list(Refund.objects.filter(state="done", pk__gt=last).select_related("payment").order_by("id")[:batch]):
        last = refunds[-1].pk
        known = set(booked.filter(key__in=[f"{Kind.REFUND}-{refund.pk}" for refund in refunds]).values_list("key", flat=True))
        missing = [refund_of(refund, refund.payment.currency, refund.done_at or refund.created_at) for refund in refunds]
        yield _book([transfer for transfer in missing if transfer.key not in known])


def _book(transfers: Sequence[Transfer]) -> int:
    return len(Transfer.objects.bulk_create(transfers, ignore_conflicts=True))


@dataclass(frozen=True)
class Settlement:
    """A day's money in one currency. ``net`` is what the provider owes for it."""

    day: date
    currency: str
    captured: Decimal
    refunded: Decimal
    fees: Decimal

    @property
    def net(self) -> Decimal:
        return self.captured - self.refunded - self.fees


def settlements(*, since: date, until: date) -> list[Settlement]:
    """By day in the current time zone and currency, from the first to the last day."""
    first = timezone.make_aware(datetime.combine(since, time()))
    after = timezone.make_aware(datetime.combine(until + timedelta(days=1), time()))

    def of(kind: str) -> Sum:
        return Sum(Case(When(kind=kind, then=F("amount")), default=Decimal(0), output_field=DecimalField()))

    days = (
        Transfer.objects.filter(at__gte=first, at__lt=after)
        .values(day=TruncDate("at"), in_currency=F("currency"))
        .annotate(captured=of(Kind.CAPTURE), refunded=of(Kind.REFUND), fees=of(Kind.FEE))
        .order_by("day", "in_currency")
    )
    return [Settlement(row["day"], row["in_currency"], row["captured"], row["refunded"], row["fees"]) for row in days]


def trial_balance() -> dict[str, dict[str, Decimal]]:
    """By currency and account. Double entry: the balances of a currency add up to nothing."""
    found: dict[str, dict[str, Decimal]] = {}
    for side, sign in (("debit", 1), ("credit", -1)):
        moved = Transfer.objects.order_by().values_list("currency", side).annotate(sum=Sum("amount"))
        for currency, account, amount in moved:
            accounts = found.setdefault(currency, dict.fromkeys(Account.values, Decimal(0)))
            accounts[account] += sign * amount
    return found


def misbooked(*, limit: int = 20) -> list[int]:
    """Payments whose transfers are not what happened to them: captured once with its fee, given back as much as was booked."""
    booked = {kind: _booked(kind) for kind in Kind.values}
    came = Case(When(captured_at=None, then=Decimal(0)), default=F("amount"), output_field=DecimalField())
    paid = Payment.objects.annotate(came=came, **booked)
    wrong = ~Q(capture=F("came")) | ~Q(refund=F("refunded_amount")) | Q(captured_at=None, fee__gt=0) | Q(came__gt=0, fee=0)
    return list(paid.filter(wrong).order_by("id").values_list("id", flat=True)[:limit])


def _booked(kind: str) -> Coalesce:
    of = Transfer.objects.filter(payment=OuterRef("pk"), kind=kind, currency=OuterRef("currency")).order_by()
    total = of.values("payment").annotate(sum=Sum("amount")).values("sum")
    return Coalesce(Subquery(total), Decimal(0), output_field=DecimalField())


def balance(account: str, currency: str = "EUR") -> Decimal:
    """What entered the account less what left it."""
    moved = Transfer.objects.filter(currency=currency)
    total = {
        side: moved.filter(**{side: account}).aggregate(sum=Sum("amount"))["sum"] or Decimal(0) for side in ("debit", "credit")
    }
    return total["debit"] - total["credit"]
