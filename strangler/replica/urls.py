"""The service contract's URLs (DESIGN section 6). Reached through ``GuardMiddleware``; never through the proxy."""

from django.urls import path

from strangler.replica import views

urlpatterns = [
    path("_strangler/changes", views.changes, name="strangler-changes"),
    path("_strangler/digest", views.digest, name="strangler-digest"),
    path("_strangler/rows", views.rows_by_key, name="strangler-rows"),
    path("_strangler/notes", views.notes, name="strangler-notes"),
    path("_strangler/ownership", views.ownership, name="strangler-ownership"),
    path("livez", views.livez, name="strangler-livez"),
    path("readyz", views.readyz, name="strangler-readyz"),
    path("metrics", views.metrics, name="strangler-metrics"),
    # The same below the reserved prefix, for a balancer that may ask nothing else.
    path("_strangler/livez", views.livez),
    path("_strangler/readyz", views.readyz),
    path("_strangler/metrics", views.metrics),
]
