"""/api/products/: open to everyone, read only."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import AllowAny

from monolith.products import selectors
from monolith.products.models import Product


class ProductBody(serializers.ModelSerializer[Product]):
    class Meta:
        model = Product
        fields = ["sku", "name", "description", "price", "currency", "stock"]


class ProductsView(ListAPIView[Product]):
    permission_classes = [AllowAny]
    serializer_class = ProductBody
    queryset = selectors.on_sale()


class ProductView(RetrieveAPIView[Product]):
    permission_classes = [AllowAny]
    serializer_class = ProductBody
    queryset = selectors.on_sale()
    lookup_field = "sku"
