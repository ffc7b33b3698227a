"""Where each context answers."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.static import serve
from drf_spectacular.views import SpectacularAPIView

from monolith.payments.pages import confirm

urlpatterns = [
    path("_strangler/", include("strangler.control.urls")),
    path("api/users/", include("monolith.users.urls")),
    path("api/customers/", include("monolith.customers.urls")),
    path("api/products/", include("monolith.products.urls")),
    path("api/orders/", include("monolith.orders.urls")),
    path("api/payments/", include("monolith.payments.urls")),
    path("pay/confirm/<str:token>/", confirm, name="confirm"),
    path("media/<path:path>", serve, {"document_root": settings.MEDIA_ROOT}),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("monolith.shell.urls")),
]

handler404 = "monolith.problems.page_not_found"
handler500 = "monolith.problems.server_error"
