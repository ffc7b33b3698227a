"""The monolith's URLs, and the wild ones before them."""

from __future__ import annotations

from django.urls import include, path

from tests.integration.seams.wild import views

urlpatterns = [
    *(path(f"api/payments/wild/{name}", view) for name, view in views.ALL.items()),
    path("", include("monolith.urls")),
]
