from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _

from monolith.orders import returns, services
from monolith.orders.models import CartLine, Coupon, Order, OrderEvent, OrderLine, PaymentIntent, Return, ReturnLine
from monolith.problems import Problem
from monolith.readonly import ReadOnly


class Shown(ReadOnly, admin.TabularInline):
    extra = 0
    can_delete = False


class OrderLineInline(Shown):
    """What was bought stays as it was bought: the total and the stock go by it."""

    model = OrderLine


class OrderEventInline(Shown):
    model = OrderEvent


class PaymentInline(Shown):
    """planted: an inline across contexts, on a model that is found by its name."""

    model = apps.get_model("payments.Payment")
    fields = ["amount", "refunded_amount", "currency", "method", "state", "captured_at"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["number", "customer", "state", "total", "currency", "placed_at"]
    list_select_related = ["customer"]  # planted: select_related across contexts, orders → customers
    list_filter = ["state", "pay"]
    search_fields = ["number", "customer__name"]  # planted: lookup across contexts, orders → customers
    raw_id_fields = ["customer", "coupon"]
    readonly_fields = ["state", "total", "discount", "paid_at", "cancelled_at"]
    inlines = [OrderLineInline, PaymentInline, OrderEventInline]
    actions = ["pack", "ship", "deliver"]

    @admin.action(description="Pack")
    def pack(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        self._advance(request, queryset, "packed")

    @admin.action(description="Ship")
    def ship(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        self._advance(request, queryset, "shipped")

    @admin.action(description="Deliver")
    def deliver(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        self._advance(request, queryset, "delivered")

    def get_urls(self) -> list[Any]:
        return [path("packing/", self.admin_site.admin_view(self.packing), name="orders_packing"), *super().get_urls()]

    def packing(self, request: HttpRequest) -> TemplateResponse:
        """What is to be packed next, the oldest first: goods, address, and that it is paid."""
        # planted: select_related and prefetch_related across contexts, orders → customers, users, products, payments
        waiting = Order.objects.filter(state=Order.State.PAID).select_related("customer__user")
        waiting = waiting.prefetch_related("lines__product", "customer__addresses", "payments").order_by("id")
        context = {**self.admin_site.each_context(request), "title": _("To be packed"), "orders": waiting[:50]}
        return TemplateResponse(request, "orders/packing.html", context)

    def _advance(self, request: HttpRequest, queryset: QuerySet[Order], to: str) -> None:
        for order in queryset.order_by("pk"):
            try:
                services.advance(order_id=order.pk, to=to, by=int(request.user.pk))
            except Problem as refused:
                self.message_user(request, f"{order.number}: {refused.detail}", messages.WARNING)


@admin.register(OrderLine)
class OrderLineAdmin(admin.ModelAdmin):
    list_display = ["order", "sku", "quantity", "unit_price"]
    list_select_related = ["order"]
    raw_id_fields = ["order", "product"]


@admin.register(PaymentIntent)
class PaymentIntentAdmin(admin.ModelAdmin):
    list_display = ["id", "order", "state", "attempts", "next_attempt_at"]
    list_select_related = ["order"]
    list_filter = ["state"]
    raw_id_fields = ["order"]


@admin.register(Coupon)
class CouponAdmin(admin.ModelAdmin):
    list_display = ["code", "percent", "amount", "currency", "valid_from", "valid_until", "used", "max_uses"]
    search_fields = ["code"]
    readonly_fields = ["used"]


@admin.register(CartLine)
class CartLineAdmin(admin.ModelAdmin):
    list_display = ["user_id", "sku", "quantity", "changed_at"]
    search_fields = ["sku"]


class ReturnLineInline(Shown):
    model = ReturnLine


@admin.register(Return)
class ReturnAdmin(admin.ModelAdmin):
    list_display = ["id", "order", "state", "amount", "created_at"]
    list_select_related = ["order"]
    list_filter = ["state"]
    raw_id_fields = ["order"]
    readonly_fields = ["state", "amount"]
    inlines = [ReturnLineInline]
    actions = ["approve", "reject", "receive"]

    @admin.action(description="Approve")
    def approve(self, request: HttpRequest, queryset: QuerySet[Return]) -> None:
        for made in queryset:
            returns.decide(return_id=made.pk, to=Return.State.APPROVED)

    @admin.action(description="Reject")
    def reject(self, request: HttpRequest, queryset: QuerySet[Return]) -> None:
        for made in queryset:
            returns.decide(return_id=made.pk, to=Return.State.REJECTED)

    @admin.action(description="Received: back to stock, and refund")
    def receive(self, request: HttpRequest, queryset: QuerySet[Return]) -> None:
        for made in queryset:
            returns.receive(return_id=made.pk, by=int(request.user.pk))
