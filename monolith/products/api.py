"""/api/products/: open to everyone, read only."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monolith.products import categories, selectors
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


class ProductsView(ListAPIView[Product]):
    permission_classes = [AllowAny]
    serializer_class = ProductBody
    queryset = selectors.on_sale()

    def get_queryset(self):
        asked = ProductFilter(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        return selectors.search(**asked.validated_data)

    @extend_schema(parameters=[ProductFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


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
