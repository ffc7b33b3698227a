from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from monolith.payments.models import IdempotencyKey, Payment, ProviderEvent, Refund, Transfer
from monolith.payments.services import LocalPayments
from monolith.problems import Problem
from monolith.readonly import ReadOnly


class RefundInline(admin.TabularInline):
    model = Refund
    extra = 0


@admin.register(Payment)
class PaymentAdmin(admin.ModelAdmin):
    list_display = ["id", "order", "user", "amount", "currency", "method", "state", "created_at"]
    list_select_related = ["order", "user"]  # planted: select_related across contexts, payments → orders, users
    list_filter = ["state", "method"]
    search_fields = ["order__number", "user__email", "provider_reference"]  # planted: lookups across contexts
    raw_id_fields = ["order", "user"]
    readonly_fields = ["amount", "refunded_amount", "state", "provider_reference", "captured_at"]
    inlines = [RefundInline]
    actions = ["refund_the_rest"]

    @admin.action(description="Refund what is left")
    def refund_the_rest(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        for payment in queryset:
            try:
                LocalPayments().refund(payment_id=payment.pk, user_id=payment.user_id, key=f"staff-{payment.pk}")
            except Problem as refused:
                self.message_user(request, f"{payment.pk}: {refused.detail}", messages.WARNING)


@admin.register(Refund)
class RefundAdmin(admin.ModelAdmin):
    list_display = ["id", "payment", "amount", "state", "created_at"]
    list_select_related = ["payment"]
    raw_id_fields = ["payment"]


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(admin.ModelAdmin):
    list_display = ["key", "user_id", "created_at"]
    search_fields = ["key"]


@admin.register(Transfer)
class TransferAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["key", "kind", "debit", "credit", "amount", "currency", "at"]
    list_filter = ["kind", "currency"]
    search_fields = ["key"]
    date_hierarchy = "at"


@admin.register(ProviderEvent)
class ProviderEventAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["id", "kind", "received_at", "handled_at"]
    list_filter = ["kind"]
    search_fields = ["id"]
