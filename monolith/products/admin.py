from decimal import Decimal

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from monolith.products import categories, prices
from monolith.products.models import Category, Placement, Price, Product, ProductImage, Rate, Reservation


class PlacementInline(admin.TabularInline):
    model = Placement
    extra = 0


class ImageInline(admin.TabularInline):
    model = ProductImage
    extra = 0


class PriceInline(admin.TabularInline):
    model = Price
    extra = 0
    can_delete = False
    readonly_fields = ["amount", "currency", "valid_from", "valid_until"]
    max_num = 0


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["sku", "name", "price", "currency", "stock", "is_active"]
    list_filter = ["is_active", "categories"]
    search_fields = ["sku", "name"]
    inlines = [PlacementInline, ImageInline, PriceInline]
    actions = ["put_on_sale", "take_off_sale", "raise_by_five"]

    @admin.action(description="Put on sale")
    def put_on_sale(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        queryset.update(is_active=True)

    @admin.action(description="Take off sale")
    def take_off_sale(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        queryset.update(is_active=False)

    @admin.action(description="Raise the price by five percent")
    def raise_by_five(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        count = prices.raise_prices(product_ids=list(queryset.values_list("pk", flat=True)), percent=Decimal(5))
        self.message_user(request, f"{count} prices were raised.")

    def save_model(self, request: HttpRequest, obj: Product, form: object, change: bool) -> None:
        amount = obj.price
        if change and "price" in getattr(form, "changed_data", []):
            obj.price = Product.objects.values_list("price", flat=True).get(pk=obj.pk)
            super().save_model(request, obj, form, change)
            prices.set_price(product_id=obj.pk, amount=amount)
            obj.price = amount
            return
        super().save_model(request, obj, form, change)


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ["path", "name"]
    search_fields = ["name", "path"]
    readonly_fields = ["path"]

    def save_model(self, request: HttpRequest, obj: Category, form: object, change: bool) -> None:
        parent = obj.parent
        if change:
            Category.objects.filter(pk=obj.pk).update(name=obj.name)
            obj.path = categories.move(category_id=obj.pk, parent_id=parent.pk if parent else None).path
        else:
            obj.path = f"{parent.path if parent else ''}{obj.slug}/"
            super().save_model(request, obj, form, change)

    def get_readonly_fields(self, request: HttpRequest, obj: Category | None = None) -> list[str]:
        return ["path", "slug"] if obj else ["path"]


@admin.register(Rate)
class RateAdmin(admin.ModelAdmin):
    list_display = ["currency", "per_euro", "updated_at"]


@admin.register(Reservation)
class ReservationAdmin(admin.ModelAdmin):
    list_display = ["reference", "product", "quantity", "state", "expires_at"]
    list_select_related = ["product"]
    list_filter = ["state"]
    search_fields = ["reference"]
