from django.contrib import admin

from monolith.customers.models import Address, Customer


class AddressInline(admin.TabularInline):
    model = Address
    extra = 0


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["id", "name", "user", "phone"]
    list_select_related = ["user"]  # planted: select_related across contexts, customers → users
    search_fields = ["name", "user__email"]  # planted: lookup across contexts, customers → users
    raw_id_fields = ["user"]
    inlines = [AddressInline]


@admin.register(Address)
class AddressAdmin(admin.ModelAdmin):
    list_display = ["id", "customer", "recipient", "city", "country", "is_default"]
    list_select_related = ["customer"]
    raw_id_fields = ["customer"]
