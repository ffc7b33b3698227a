from django.urls import path

from monolith.payments import api

app_name = "payments"
urlpatterns = [
    path("", api.PaymentsView.as_view(), name="payments"),
    path("search/", api.SearchView.as_view(), name="search"),
    path("settlements/", api.SettlementsView.as_view(), name="settlements"),
    path("settlements.csv", api.SettlementsCsvView.as_view(), name="settlements-csv"),
    path("webhook/", api.WebhookView.as_view(), name="webhook"),
    path("<int:payment_id>/", api.PaymentView.as_view(), name="payment"),
    path("<int:payment_id>/capture/", api.CaptureView.as_view(), name="capture"),
    path("<int:payment_id>/refund/", api.RefundView.as_view(), name="refund"),
    path("<int:payment_id>/confirm-link/", api.ConfirmLinkView.as_view(), name="confirm-link"),
]
