from django.urls import path

from monolith.orders import api

app_name = "orders"
urlpatterns = [
    path("", api.OrdersView.as_view(), name="orders"),
    path("checkout/", api.CheckoutView.as_view(), name="checkout"),
    path("<int:order_id>/", api.OrderView.as_view(), name="order"),
    path("<int:order_id>/cancel/", api.CancelView.as_view(), name="cancel"),
]
