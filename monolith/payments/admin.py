from django.contrib import admin

from monolith.payments.models import IdempotencyKey, Payment, Refund


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
    inlines = [RefundInline]


@admin.register(Refund)
class RefundAdmin(admin.ModelAdmin):
    list_display = ["id", "payment", "amount", "state", "created_at"]
    list_select_related = ["payment"]
    raw_id_fields = ["payment"]


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(admin.ModelAdmin):
    list_display = ["key", "user_id", "created_at"]
    search_fields = ["key"]
