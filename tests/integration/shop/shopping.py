"""What the tests of the shop share: a client, a look at the stock, and payments as a service that can be broken on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.test import RequestFactory, override_settings
from django.urls import resolve
from rest_framework.test import APIClient

from monolith.products.models import Product
from monolith.users import tokens
from monolith.users.models import User

Buy = Callable[..., Any]


def client_of(user: User) -> APIClient:
    client = APIClient(raise_request_exception=True)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.issue(user_id=user.pk)}")
    return client


def stock_of(product: Product) -> int:
    return Product.objects.values_list("stock", flat=True).get(pk=product.pk)


@dataclass
class PaymentsService:
    """What ``requests`` would reach: the same API, for a caller with a service token. ``fault``: down, lost, or none."""

    fault: str = ""
    calls: list[str] = field(default_factory=list)

    def request(self, method: str, url: str, **given: Any) -> requests.Response:
        self.calls.append(urlsplit(url).path)
        if self.fault == "down":
            raise requests.ConnectionError("reset by peer")
        answer = self._serve(method, urlsplit(url).path, given)
        if self.fault == "lost":
            raise requests.ReadTimeout("no answer")
        return answer

    def _serve(self, method: str, path: str, given: dict[str, Any]) -> requests.Response:
        request = RequestFactory().generic(
            method, path, requests.models.complexjson.dumps(given["json"]), "application/json", headers=given["headers"]
        )
        view, args, kwargs = resolve(path)
        with override_settings(STRANGLER={**settings.STRANGLER, "SIDE": "service", "CONTEXT": "payments"}):
            served = view(request, *args, **kwargs).render()
        answer = requests.Response()
        answer.status_code, answer._content, answer.url = served.status_code, served.content, path
        answer.headers.update(served.headers)
        return answer
