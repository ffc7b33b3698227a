from django.urls import path

from monolith.payments import api

app_name = "payments"
urlpatterns = [
    path("", api.PaymentsView.as_view(), name="payments"),
    path("<int:payment_id>/", api.PaymentView.as_view(), name="payment"),
    path("<int:payment_id>/capture/", api.CaptureView.as_view(), name="capture"),
    path("<int:payment_id>/refund/", api.RefundView.as_view(), name="refund"),
]
