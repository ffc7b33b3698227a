"""/api/orders/"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monolith.orders import selectors
from monolith.orders.contract import OrderNotFound, OrderRecord, orders
from monolith.orders.models import Order
from monolith.orders.serializers import CheckoutBody, OrderBody, order_body

KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, required=True, description="One a checkout; 255 characters"
)


class OrdersView(ListAPIView[Order]):
    serializer_class = OrderBody
    queryset = Order.objects.none()

    def get_queryset(self):
        return selectors.visible_to(user_id=self.request.user.pk, is_staff=self.request.user.is_staff)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([order_body(order) for order in selectors.records(page)])


class OrderView(APIView):
    @extend_schema(responses=OrderBody)
    def get(self, request: Request, order_id: int) -> Response:
        found = list(selectors.visible_to(user_id=request.user.pk, is_staff=request.user.is_staff).filter(pk=order_id))
        if not found:
            raise OrderNotFound(f"You have no order {order_id}.")
        return Response(order_body(selectors.records(found)[0]))


class CheckoutView(APIView):
    @extend_schema(parameters=[KEY], request=CheckoutBody, responses={200: OrderBody, 201: OrderBody, 202: OrderBody})
    def post(self, request: Request) -> Response:
        """201: placed. 202: placed, and whether the payment succeeds is not known yet. 200: placed by an earlier call with this
        key. 402: the payment was declined and the order cancelled."""
        key, body = request.headers.get("Idempotency-Key", ""), CheckoutBody(data=request.data)
        if not key or len(key) > 255:
            raise ValidationError({"Idempotency-Key": ["Send this header, with at most 255 characters of your choice."]})
        body.is_valid(raise_exception=True)
        method, pay = body.validated_data["method"], body.validated_data["pay"]
        placed = orders.checkout(user_id=request.user.pk, key=key, quantities=body.quantities(), method=method, pay=pay)
        return Response(order_body(placed.order), status=_status(placed.order, repeated=placed.repeated))


class CancelView(APIView):
    @extend_schema(request=None, responses=OrderBody)
    def post(self, request: Request, order_id: int) -> Response:
        """Gives the stock back, and what was paid. Idempotent."""
        return Response(order_body(orders.cancel(user_id=request.user.pk, order_id=order_id)))


def _status(order: OrderRecord, *, repeated: bool) -> int:
    if order.payment and order.payment.state == "processing":
        return 202
    return 200 if repeated else 201
