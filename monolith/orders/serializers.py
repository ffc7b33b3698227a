"""The JSON of orders."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from monolith.orders.contract import MOST_OF_ONE as CART_MOST_OF_ONE
from monolith.orders.contract import EventRecord, LineRecord, OrderRecord, PaymentState, ReturnRecord
from monolith.payments.contract import METHODS

MOST_LINES, MOST_OF_ONE = 100, 1000


# The descriptions of answers; `order_body` makes them.


class LineBody(serializers.Serializer[LineRecord]):
    id = serializers.IntegerField()
    sku = serializers.CharField()
    name = serializers.CharField()
    unit_price = serializers.DecimalField(max_digits=10, decimal_places=2)
    quantity = serializers.IntegerField()


class PaymentStateBody(serializers.Serializer[PaymentState]):
    id = serializers.IntegerField(allow_null=True)
    state = serializers.CharField()


class OrderBody(serializers.Serializer[OrderRecord]):
    id = serializers.IntegerField()
    number = serializers.CharField()
    customer = serializers.CharField()
    state = serializers.CharField(help_text="pending, paid, packed, shipped, delivered, returned or cancelled")
    total = serializers.DecimalField(max_digits=12, decimal_places=2)
    discount = serializers.DecimalField(max_digits=12, decimal_places=2)
    currency = serializers.CharField()
    pay = serializers.CharField()
    method = serializers.CharField()
    reason = serializers.CharField()
    placed_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)
    payment = PaymentStateBody(allow_null=True)
    lines = LineBody(many=True)


def order_body(order: OrderRecord) -> dict[str, Any]:
    """What ``OrderBody`` describes, written out: a nested serializer costs more than the queries of an order."""
    return {
        "id": order.id,
        "number": order.number,
        "customer": order.customer,
        "state": order.state,
        "total": f"{order.total:.2f}",
        "discount": f"{order.discount:.2f}",
        "currency": order.currency,
        "pay": order.pay,
        "method": order.method,
        "reason": order.reason,
        "placed_at": order.placed_at,
        "paid_at": order.paid_at,
        "payment": {"id": order.payment.id, "state": order.payment.state} if order.payment else None,
        "lines": [
            {
                "id": line.id,
                "sku": line.sku,
                "name": line.name,
                "unit_price": f"{line.unit_price:.2f}",
                "quantity": line.quantity,
            }
            for line in order.lines
        ],
    }


class WantedLine(serializers.Serializer[dict[str, Any]]):
    sku = serializers.CharField(max_length=40)
    quantity = serializers.IntegerField(min_value=1, max_value=MOST_OF_ONE)


class CheckoutBody(serializers.Serializer[dict[str, Any]]):
    lines = WantedLine(many=True, allow_empty=False, max_length=MOST_LINES)
    method = serializers.ChoiceField(choices=METHODS)
    pay = serializers.ChoiceField(choices=["now", "later"], default="now")
    coupon = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False, default="", help_text="as the products', if it is left out")

    def quantities(self) -> dict[str, int]:
        """By SKU; lines of the same are one."""
        wanted: dict[str, int] = {}
        for line in self.validated_data["lines"]:
            wanted[line["sku"]] = wanted.get(line["sku"], 0) + line["quantity"]
        return wanted


class EventBody(serializers.Serializer[EventRecord]):
    before = serializers.CharField()
    after = serializers.CharField()
    by = serializers.IntegerField(allow_null=True, help_text="the user who did it; null: the shop itself")
    reason = serializers.CharField()
    at = serializers.DateTimeField()


class ReturnedLine(serializers.Serializer[dict[str, Any]]):
    line = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="the order line's id")
    quantity = serializers.IntegerField(min_value=1, max_value=MOST_OF_ONE)


class ReturnRequest(serializers.Serializer[dict[str, Any]]):
    lines = ReturnedLine(many=True, allow_empty=False, max_length=MOST_LINES)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")

    def quantities(self) -> dict[int, int]:
        wanted: dict[int, int] = {}
        for line in self.validated_data["lines"]:
            wanted[line["line"]] = wanted.get(line["line"], 0) + line["quantity"]
        return wanted


class ReturnBody(serializers.Serializer[ReturnRecord]):
    id = serializers.IntegerField()
    order = serializers.IntegerField(source="order_id")
    state = serializers.CharField(help_text="requested, approved, rejected, received or refunded")
    reason = serializers.CharField()
    amount = serializers.DecimalField(max_digits=12, decimal_places=2)
    lines = serializers.DictField(child=serializers.IntegerField(), help_text="order line's id: quantity")


class CartChange(serializers.Serializer[dict[str, Any]]):
    sku = serializers.CharField(max_length=40)
    quantity = serializers.IntegerField(min_value=0, max_value=CART_MOST_OF_ONE, help_text="0 removes it")


class CartBody(serializers.Serializer[dict[str, Any]]):
    quantities = serializers.DictField(child=serializers.IntegerField(), help_text="SKU: quantity")
