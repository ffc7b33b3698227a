from django.contrib import admin

from monolith.orders.models import Order, OrderLine, PaymentIntent


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 0
    raw_id_fields = ["product"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["number", "customer", "state", "total", "currency", "placed_at"]
    list_select_related = ["customer"]  # planted: select_related across contexts, orders → customers
    list_filter = ["state", "pay"]
    search_fields = ["number", "customer__name"]  # planted: lookup across contexts, orders → customers
    raw_id_fields = ["customer"]
    inlines = [OrderLineInline]


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
