"""Where the provider sends a customer back to: the one page of payments."""

from __future__ import annotations

from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from monolith.orders.contract import orders
from monolith.payments import services
from monolith.payments.contract import PaymentNotFound, PaymentRefused

SALT = "monolith.payments.confirm"
VALID_S = 24 * 3600


def confirm_path(*, payment_id: int, user_id: int) -> str:
    return f"/pay/confirm/{signing.dumps([payment_id, user_id], salt=SALT)}/"


@require_safe
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """planted: a GET that writes. The customer has confirmed at the bank: what is held is taken, once."""
    try:
        payment_id, user_id = signing.loads(token, salt=SALT, max_age=VALID_S)
        payment = services.LocalPayments().capture(payment_id=payment_id, user_id=user_id)
    except (signing.BadSignature, PaymentNotFound, PaymentRefused) as error:
        raise Http404("This link is not valid, or not any more.") from error
    order = orders.summary(order_id=payment.order_id)
    return redirect(f"/orders/{order.number}/" if order else "/orders/")
