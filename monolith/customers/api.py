"""/api/customers/: a user's own profile and addresses."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monolith.customers import selectors, services
from monolith.customers.models import Address, Customer
from monolith.problems import NotFound


class Profile(serializers.ModelSerializer[Customer]):
    class Meta:
        model = Customer
        fields = ["id", "name", "phone", "language", "currency", "time_zone", "newsletter", "created_at"]


class AddressBody(serializers.ModelSerializer[Address]):
    class Meta:
        model = Address
        fields = ["id", "label", "recipient", "street", "postcode", "city", "country", "is_default"]


class ProfileView(APIView):
    @extend_schema(responses=Profile)
    def get(self, request: Request) -> Response:
        return Response(Profile(services.customer_ensure(user_id=request.user.pk)).data)

    @extend_schema(request=Profile, responses=Profile)
    def patch(self, request: Request) -> Response:
        body = Profile(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        return Response(Profile(services.customer_update(user_id=request.user.pk, **body.validated_data)).data)


class AddressesView(ListAPIView[Address]):
    serializer_class = AddressBody
    queryset = Address.objects.none()

    def get_queryset(self):
        return selectors.addresses_of(user_id=self.request.user.pk)

    @extend_schema(request=AddressBody, responses={201: AddressBody})
    def post(self, request: Request) -> Response:
        body = AddressBody(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(AddressBody(services.address_add(user_id=request.user.pk, **body.validated_data)).data, status=201)


class FavouriteView(APIView):
    """What a customer likes: put it there, take it away. Both are idempotent."""

    @extend_schema(request=None, responses={204: None})
    def put(self, request: Request, product_id: int) -> Response:
        # planted: another context's model, reached through the relation
        if not Customer.favourites.through.product.field.related_model._base_manager.filter(pk=product_id).exists():
            raise NotFound(f"There is no product {product_id}.")
        services.customer_ensure(user_id=request.user.pk).favourites.add(product_id)
        return Response(status=204)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, product_id: int) -> Response:
        services.customer_ensure(user_id=request.user.pk).favourites.remove(product_id)
        return Response(status=204)


class AddressView(APIView):
    @extend_schema(request=None, responses={204: None})
    def put(self, request: Request, address_id: int) -> Response:
        """Make it the default."""
        if not services.address_prefer(user_id=request.user.pk, address_id=address_id):
            raise NotFound(f"You have no address {address_id}.")
        return Response(status=204)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, address_id: int) -> Response:
        if not services.address_remove(user_id=request.user.pk, address_id=address_id):
            raise NotFound(f"You have no address {address_id}.")
        return Response(status=204)
