"""/api/payments/"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monolith.payments import intake, selectors, services
from monolith.payments.contract import PaymentNotFound, PaymentRecord
from monolith.payments.models import Payment
from monolith.payments.serializers import ChargeBody, PaymentBody, payment_body
from strangler.seams.authentication import ServiceTokenAuthentication

KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, required=True, description="One a payment; 255 characters"
)
OPTIONAL_KEY = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)
OF_ORDER = OpenApiParameter("order", OpenApiTypes.INT64, description="only payments of this order")


def idempotency_key(request: Request, default: str = "") -> str:
    key = request.headers.get("Idempotency-Key", default)
    if not key or len(key) > 255:
        raise ValidationError({"Idempotency-Key": ["Send this header, with at most 255 characters of your choice."]})
    return key


class PaymentsView(ListAPIView[Payment]):
    serializer_class = PaymentBody
    queryset = Payment.objects.none()

    def get_queryset(self):
        visible = selectors.visible_to(user_id=self.request.user.pk, is_staff=self.request.user.is_staff)
        order = self.request.query_params.get("order")
        if order is None:
            return visible
        if not order.isdecimal() or len(order) > 18:
            raise ValidationError({"order": ["Give the id of an order."]})
        return visible.filter(order_id=order)

    @extend_schema(parameters=[OF_ORDER])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([payment_body(selectors.record(payment)) for payment in page])

    @extend_schema(parameters=[KEY], request=ChargeBody, responses={200: PaymentBody, 201: PaymentBody, 202: PaymentBody})
    def post(self, request: Request) -> Response:
        """201: the outcome is in the body. 202: not known yet. 200: this key was answered before, and this was the answer."""
        key, body = idempotency_key(request), ChargeBody(data=request.data)
        body.is_valid(raise_exception=True)
        before = intake.answered(user_id=request.user.pk, key=key, **body.validated_data)
        if before is not None:
            return Response(before)
        trusted = isinstance(request.successful_authenticator, ServiceTokenAuthentication)
        payment = intake.charge(user_id=request.user.pk, key=key, trusted=trusted, asked=body.validated_data)
        return Response(payment_body(payment), status=202 if payment.state == "processing" else 201)


class PaymentView(APIView):
    @extend_schema(responses=PaymentBody)
    def get(self, request: Request, payment_id: int) -> Response:
        return Response(payment_body(visible(request, payment_id)))


class CaptureView(APIView):
    @extend_schema(request=None, responses=PaymentBody)
    def post(self, request: Request, payment_id: int) -> Response:
        payment = visible(request, payment_id)
        return Response(payment_body(services.LocalPayments().capture(payment_id=payment_id, user_id=payment.user_id)))


class RefundView(APIView):
    @extend_schema(parameters=[OPTIONAL_KEY], request=None, responses=PaymentBody)
    def post(self, request: Request, payment_id: int) -> Response:
        """Gives all of it back. Idempotent."""
        payment = visible(request, payment_id)
        key = idempotency_key(request, default=f"refund-{payment_id}")
        return Response(payment_body(services.LocalPayments().refund(payment_id=payment_id, user_id=payment.user_id, key=key)))


def visible(request: Request, payment_id: int) -> PaymentRecord:
    seen = selectors.visible_to(user_id=request.user.pk, is_staff=request.user.is_staff).filter(pk=payment_id).first()
    if seen is None:
        raise PaymentNotFound(f"You have no payment {payment_id}.")
    return selectors.record(seen)
