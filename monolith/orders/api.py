"""/api/orders/"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monolith.orders import returns, selectors, services
from monolith.orders.contract import NotThatWay, OrderNotFound, OrderRecord, Wanted, carts, orders
from monolith.orders.models import Order, Return
from monolith.orders.serializers import (
    CartBody,
    CartChange,
    CheckoutBody,
    EventBody,
    OrderBody,
    ReturnBody,
    ReturnRequest,
    order_body,
)

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
        asked = body.validated_data
        wanted = Wanted(body.quantities(), asked["method"], asked["pay"], asked["coupon"], asked["currency"])
        placed = orders.checkout(user_id=request.user.pk, key=key, wanted=wanted)
        return Response(order_body(placed.order), status=_status(placed.order, repeated=placed.repeated))


class CancelView(APIView):
    @extend_schema(request=None, responses=OrderBody)
    def post(self, request: Request, order_id: int) -> Response:
        """Gives the stock back, and what was paid. Idempotent."""
        return Response(order_body(orders.cancel(user_id=request.user.pk, order_id=order_id)))


class StepView(APIView):
    """A step that staff takes; the route says which."""

    permission_classes = [IsAdminUser]
    to = ""

    @extend_schema(request=None, responses=OrderBody)
    def post(self, request: Request, order_id: int) -> Response:
        """For staff. Again it changes nothing."""
        return Response(order_body(services.advance(order_id=order_id, to=self.to, by=request.user.pk)))


class HistoryView(APIView):
    @extend_schema(responses=EventBody(many=True))
    def get(self, request: Request, order_id: int) -> Response:
        _visible(request, order_id)
        return Response(EventBody(orders.history(order_id=order_id), many=True).data)


class ReturnsView(APIView):
    @extend_schema(responses=ReturnBody(many=True))
    def get(self, request: Request, order_id: int) -> Response:
        _visible(request, order_id)
        return Response(ReturnBody(orders.returns(order_id=order_id), many=True).data)

    @extend_schema(request=ReturnRequest, responses={201: ReturnBody})
    def post(self, request: Request, order_id: int) -> Response:
        """Ask to send goods of a delivered order back."""
        body = ReturnRequest(data=request.data)
        body.is_valid(raise_exception=True)
        made = orders.request_return(
            user_id=request.user.pk, order_id=order_id, quantities=body.quantities(), reason=body.validated_data["reason"]
        )
        return Response(ReturnBody(made).data, status=201)


class ReturnStepView(APIView):
    """What staff does with a return; the route says what."""

    permission_classes = [IsAdminUser]
    act = ""

    @extend_schema(request=None, responses=ReturnBody)
    def post(self, request: Request, return_id: int) -> Response:
        """For staff. Again it changes nothing."""
        made = Return.objects.filter(pk=return_id).first()
        if made is None:
            raise OrderNotFound(f"There is no return {return_id}.")
        if self.act == "received":
            done = returns.receive(return_id=return_id, by=request.user.pk)
        else:
            done = returns.decide(return_id=return_id, to=self.act)
        made.refresh_from_db()
        if not done and made.state != self.act and (self.act, made.state) != ("received", "refunded"):
            raise NotThatWay(f"The return is {made.state}; it can't be {self.act} next.")
        return Response(ReturnBody(selectors.return_record(made)).data)


class CartView(APIView):
    @extend_schema(responses=CartBody)
    def get(self, request: Request) -> Response:
        return Response({"quantities": carts.quantities(user_id=request.user.pk)})

    @extend_schema(request=CartChange, responses=CartBody)
    def put(self, request: Request) -> Response:
        """Have exactly so many of one."""
        body = CartChange(data=request.data)
        body.is_valid(raise_exception=True)
        carts.put(user_id=request.user.pk, **body.validated_data)
        return self.get(request)

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        carts.clear(user_id=request.user.pk)
        return Response(status=204)


def _visible(request: Request, order_id: int) -> None:
    seen = selectors.visible_to(user_id=request.user.pk, is_staff=request.user.is_staff)
    if not seen.filter(pk=order_id).exists():
        raise OrderNotFound(f"You have no order {order_id}.")


def _status(order: OrderRecord, *, repeated: bool) -> int:
    if order.payment and order.payment.state == "processing":
        return 202
    return 200 if repeated else 201
