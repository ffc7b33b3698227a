"""Upkeep over several contexts, for the command and the nightly task.

planted: writes orders and products, and asks payments, in one go.
"""

from __future__ import annotations

from datetime import timedelta

from django.apps import apps
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_noop as noted

REASON = noted("not paid in time")


def expire_unpaid(*, older_than: timedelta, limit: int = 1000) -> int:
    """Cancel orders that were to be paid later and never were, and give their goods back; how many. Safe to run twice at once."""
    order, line, event = (apps.get_model(label) for label in ("orders.Order", "orders.OrderLine", "orders.OrderEvent"))
    coupon, product = apps.get_model("orders.Coupon"), apps.get_model("products.Product")
    before = timezone.now() - older_than
    # planted: lookups across contexts, by models that are found by their names
    unpaid = order.objects.filter(state="pending", pay="later", placed_at__lt=before, payments__isnull=True).order_by("id")
    done = 0
    for pk in unpaid.values_list("pk", flat=True)[:limit]:
        with transaction.atomic():
            now = timezone.now()
            if order.objects.filter(pk=pk, state="pending").update(
                state="cancelled", reason=REASON, cancelled_at=now, updated_at=now
            ):
                event.objects.create(order_id=pk, before="pending", after="cancelled", reason=REASON, at=now)
                used = order.objects.filter(pk=pk).exclude(coupon=None).values("coupon")
                coupon.objects.filter(pk__in=used, used__gt=0).update(used=F("used") - 1)
                lines = line.objects.filter(order_id=pk).order_by("product_id")
                for product_id, quantity in lines.values_list("product_id", "quantity"):
                    product.objects.filter(pk=product_id).update(stock=F("stock") + quantity, updated_at=now)
                done += 1
    return done
