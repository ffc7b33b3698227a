"""What the monolith serves under ``/_strangler/``: never reachable through the proxy."""

from django.urls import path

from strangler.control import identity, views

urlpatterns = [
    path("ownership", views.ownership, name="strangler-ownership"),
    path("flight", views.flight, name="strangler-flight"),
    path("identity", identity.identity, name="strangler-identity"),
    path("metrics", views.metrics, name="strangler-metrics"),
    path("livez", views.livez, name="strangler-livez"),
    path("readyz", views.readyz, name="strangler-readyz"),
]
