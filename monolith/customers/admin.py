from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from monolith.customers import services
from monolith.customers.models import Address, Customer, CustomerMerge


class AddressInline(admin.TabularInline):
    model = Address
    extra = 0


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["id", "name", "user", "phone"]
    list_select_related = ["user"]  # planted: select_related across contexts, customers → users
    search_fields = ["name", "user__email"]  # planted: lookup across contexts, customers → users
    raw_id_fields = ["user", "favourites"]
    inlines = [AddressInline]
    actions = ["merge_selected"]

    @admin.action(description="Merge into the oldest of them")
    def merge_selected(self, request: HttpRequest, queryset: QuerySet[Customer]) -> None:
        keep, *others = queryset.order_by("pk").values_list("pk", flat=True)
        for duplicate in others:
            services.merge(keep_id=keep, duplicate_id=duplicate)
        self.message_user(request, f"{len(others)} were merged into {keep}.")


@admin.register(Address)
class AddressAdmin(admin.ModelAdmin):
    list_display = ["id", "customer", "recipient", "city", "country", "is_default"]
    list_select_related = ["customer"]
    raw_id_fields = ["customer"]


@admin.register(CustomerMerge)
class CustomerMergeAdmin(admin.ModelAdmin):
    list_display = ["duplicate_id", "kept", "at"]
    readonly_fields = ["kept", "duplicate_id", "duplicate", "moved", "at"]
