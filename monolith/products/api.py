"""/api/products/: open to everyone, read only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monolith.products import categories, currencies, selectors
from monolith.products.contract import ProductRecord, products
from monolith.products.models import Product


class ProductBody(serializers.ModelSerializer[Product]):
    class Meta:
        model = Product
        fields = ["sku", "name", "description", "price", "currency", "stock"]


class ProductFilter(serializers.Serializer[dict[str, Any]]):
    q = serializers.CharField(max_length=200, required=False, allow_blank=True, help_text="words; -word excludes one")
    category = serializers.RegexField(r"^([-a-z0-9_]+/)+$", max_length=400, required=False, help_text="a path: home/kitchen/")
    min_price = serializers.DecimalField(max_digits=10, decimal_places=2, min_value=0, required=False)
    max_price = serializers.DecimalField(max_digits=10, decimal_places=2, min_value=0, required=False)
    in_stock = serializers.BooleanField(required=False, allow_null=True, default=None)
    order = serializers.ChoiceField(choices=["price", "-price", "name", "-created_at"], required=False)


class InCurrency(serializers.Serializer[dict[str, Any]]):
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False, help_text="prices in it, by the rate of now")


class ProductsView(ListAPIView[Product]):
    permission_classes = [AllowAny]
    serializer_class = ProductBody
    queryset = selectors.on_sale()

    def get_queryset(self):
        asked = ProductFilter(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        return selectors.search(**asked.validated_data)

    @extend_schema(parameters=[ProductFilter, InCurrency])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """``min_price`` and ``max_price`` are in the product's own currency."""
        currency = _currency(request)
        if not currency:
            return super().get(request, *args, **kwargs)
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(_bodies(page, currency))


class SearchView(APIView):
    """planted: a POST that only reads, because what is asked for may be long."""

    permission_classes = [AllowAny]

    @extend_schema(request=ProductFilter, responses=ProductBody(many=True), auth=[])
    def post(self, request: Request) -> Response:
        """The first hundred."""
        asked = ProductFilter(data=request.data)
        asked.is_valid(raise_exception=True)
        return Response(ProductBody(selectors.search(**asked.validated_data)[:100], many=True).data)


class CategoriesView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(responses=OpenApiTypes.OBJECT, auth=[])
    def get(self, request: Request) -> Response:
        """The tree: name, path and children of each."""
        return Response({"categories": categories.tree()})


class ProductView(RetrieveAPIView[Product]):
    permission_classes = [AllowAny]
    serializer_class = ProductBody
    queryset = selectors.on_sale()
    lookup_field = "sku"

    @extend_schema(parameters=[InCurrency])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(_bodies([self.get_object()], _currency(request))[0])


class CurrenciesView(APIView):
    permission_classes = [AllowAny]

    @extend_schema(responses=OpenApiTypes.OBJECT, auth=[])
    def get(self, request: Request) -> Response:
        """In which one can pay."""
        return Response({"currencies": products.currencies()})


def _currency(request: Request) -> str:
    asked = InCurrency(data=request.query_params)
    asked.is_valid(raise_exception=True)
    currency = str(asked.validated_data.get("currency", ""))
    if currency and currency not in (known := currencies.known()):
        raise serializers.ValidationError({"currency": [f"There is no rate for {currency}; there are {', '.join(known)}."]})
    return currency


def _bodies(found: Sequence[Product], currency: str) -> list[dict[str, Any]]:
    records = currencies.convert((ProductRecord(*(getattr(row, name) for name in selectors.COLUMNS)) for row in found), currency)
    return list(ProductBody(records, many=True).data)  # type: ignore[arg-type]
