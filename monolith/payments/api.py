"""/api/payments/"""

from __future__ import annotations

import csv
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monolith.payments import intake, ledger, pages, selectors, services, webhook
from monolith.payments.contract import PaymentNotFound, PaymentRecord, PaymentRefused
from monolith.payments.models import Payment
from monolith.payments.serializers import (
    ChargeBody,
    PaymentBody,
    PeriodQuery,
    RefundBody,
    SearchBody,
    SettlementBody,
    payment_body,
)
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
    @extend_schema(parameters=[OPTIONAL_KEY], request=RefundBody, responses=PaymentBody)
    def post(self, request: Request, payment_id: int) -> Response:
        """Gives an amount back, or all that is left. Idempotent by key; a part needs one."""
        payment, body = visible(request, payment_id), RefundBody(data=request.data)
        body.is_valid(raise_exception=True)
        amount = body.validated_data.get("amount")
        key = idempotency_key(request, default=f"refund-{payment_id}" if amount is None else "")
        return Response(
            payment_body(services.LocalPayments().refund(payment_id=payment_id, user_id=payment.user_id, key=key, amount=amount))
        )


class ConfirmLinkView(APIView):
    @extend_schema(responses=inline_serializer("ConfirmLink", {"path": serializers.CharField()}))
    def get(self, request: Request, payment_id: int) -> Response:
        """Where the bank sends the customer back to, for a payment that is authorised. Valid for a day."""
        payment = visible(request, payment_id)
        if payment.state != Payment.State.AUTHORISED:
            raise PaymentRefused(f"The payment is {payment.state}; only an authorised one is to be confirmed.")
        return Response({"path": pages.confirm_path(payment_id=payment_id, user_id=payment.user_id)})


class SearchView(APIView):
    """planted: a POST that only reads; what is asked for is personal and should not stand in a URL."""

    permission_classes = [IsAdminUser]

    @extend_schema(request=SearchBody, responses=PaymentBody(many=True))
    def post(self, request: Request) -> Response:
        body = SearchBody(data=request.data)
        body.is_valid(raise_exception=True)
        return Response([payment_body(selectors.record(payment)) for payment in selectors.search(**body.validated_data)])


class SettlementsView(APIView):
    permission_classes = [IsAdminUser]

    @extend_schema(parameters=[PeriodQuery], responses=SettlementBody(many=True))
    def get(self, request: Request) -> Response:
        """By day and currency, from the ledger."""
        return Response(SettlementBody(_settlements(request), many=True).data)


class SettlementsCsvView(APIView):
    permission_classes = [IsAdminUser]

    @extend_schema(parameters=[PeriodQuery], responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        answer = HttpResponse(content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="settlements.csv"'
        names = list(SettlementBody().fields)
        rows = csv.writer(answer)
        rows.writerow(names)
        rows.writerows([getattr(row, name) for name in names] for row in _settlements(request))
        return answer


def _settlements(request: Request) -> list[ledger.Settlement]:
    asked = PeriodQuery(data=request.query_params)
    asked.is_valid(raise_exception=True)
    return ledger.settlements(**asked.validated_data)


class WebhookView(APIView):
    """The provider speaks here: no session, no CSRF, a signature."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    @extend_schema(
        parameters=[OpenApiParameter("Provider-Signature", str, OpenApiParameter.HEADER, required=True)],
        request=OpenApiTypes.OBJECT,
        responses={200: OpenApiTypes.OBJECT, 202: OpenApiTypes.OBJECT},
    )
    def post(self, request: Request) -> Response:
        """200: done, now or before. 202: kept, for it can't be done yet or is of an unknown kind."""
        body = request._request.body
        if len(body) > webhook.MOST_BYTES:
            raise webhook.BadEvent(f"An event has at most {webhook.MOST_BYTES} bytes.")
        done = webhook.receive(body, request.headers.get("Provider-Signature", ""))
        return Response({"handled": done}, status=200 if done else 202)


def visible(request: Request, payment_id: int) -> PaymentRecord:
    seen = selectors.visible_to(user_id=request.user.pk, is_staff=request.user.is_staff).filter(pk=payment_id).first()
    if seen is None:
        raise PaymentNotFound(f"You have no payment {payment_id}.")
    return selectors.record(seen)
