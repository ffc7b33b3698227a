"""What is sold, where it stands on the shelves, at what price, and how much of it is there."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

WORDS = SearchVector("name", "description", config="english")
SIGNATURES = {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff", ".jpeg": b"\xff\xd8\xff", ".webp": b"RIFF"}
MOST_BYTES = 2 * 1024 * 1024


class Category(models.Model):
    """A place in the tree. ``path`` names all places above it and itself, so a subtree is one prefix."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=60)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    path = models.CharField(max_length=400, unique=True, editable=False, help_text="home/kitchen/")

    class Meta:
        ordering = ["path"]
        verbose_name_plural = "categories"
        indexes = [models.Index(fields=["path"], name="products_category_prefix", opclasses=["varchar_pattern_ops"])]

    def __str__(self) -> str:
        return self.path


class Product(models.Model):
    sku = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    currency = models.CharField(max_length=3, default="EUR", help_text="ISO 4217")
    stock = models.IntegerField(default=0)
    is_active = models.BooleanField(default=True)
    categories = models.ManyToManyField(Category, through="Placement", related_name="products", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # planted: a trigger of the shop's own sets it, whoever writes the row
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(stock__gte=0), name="products_stock_not_negative"),
            models.CheckConstraint(condition=Q(price__gte=0), name="products_price_not_negative"),
        ]
        indexes = [GinIndex(WORDS, name="products_words")]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class Placement(models.Model):
    """That a product stands in a category, and where in its row."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="placements")
    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="placements")
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["product", "category"], name="products_placed_once")]

    def __str__(self) -> str:
        return f"{self.product_id} in {self.category_id}"


class Price(models.Model):
    """What a product cost, and from when to when; the open one is what it costs."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="prices")
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-valid_from", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["product"], condition=Q(valid_until=None), name="products_one_open_price"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="products_price_history_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class Rate(models.Model):
    """What one euro costs in another currency. Without a row nothing is sold in it, unless its price stands in it."""

    currency = models.CharField(max_length=3, unique=True, help_text="ISO 4217")
    per_euro = models.DecimalField(max_digits=14, decimal_places=6)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["currency"]
        constraints = [models.CheckConstraint(condition=Q(per_euro__gt=0), name="products_rate_positive")]

    def __str__(self) -> str:
        return f"{self.per_euro} {self.currency} a euro"


def known_picture(file: Any) -> None:
    """By its name, its size and how it begins: what a browser would run is no picture."""
    suffix = PurePosixPath(file.name).suffix.lower()
    if suffix not in SIGNATURES:
        raise ValidationError("A picture is a PNG, JPEG or WebP file.")
    if file.size > MOST_BYTES:
        raise ValidationError("A picture has at most 2 MB.")
    file.seek(0)
    if not file.read(16).startswith(SIGNATURES[suffix]):
        raise ValidationError("This is not the kind of picture that its name says.")
    file.seek(0)


class ProductImage(models.Model):
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="images")
    file = models.FileField(upload_to="products/%Y/%m/", validators=[known_picture])
    alt = models.CharField(max_length=200, help_text="what it shows, for those who don't see it")
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.alt


class Reservation(models.Model):
    """Goods that are kept for somebody for a while. Off the stock as long as it is held."""

    class State(models.TextChoices):
        HELD = "held"
        USED = "used"
        RELEASED = "released"

    reference = models.CharField(max_length=64, help_text="whom for")
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="reservations")
    quantity = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.HELD)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["reference", "product"], name="products_reserved_once"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="products_reservation_positive"),
        ]
        indexes = [models.Index(fields=["expires_at"], condition=Q(state="held"), name="products_reservation_held")]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id} for {self.reference}"
