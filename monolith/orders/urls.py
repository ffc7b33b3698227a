from django.urls import path

from monolith.orders import api

app_name = "orders"
urlpatterns = [
    path("", api.OrdersView.as_view(), name="orders"),
    path("checkout/", api.CheckoutView.as_view(), name="checkout"),
    path("cart/", api.CartView.as_view(), name="cart"),
    path("<int:order_id>/", api.OrderView.as_view(), name="order"),
    path("<int:order_id>/cancel/", api.CancelView.as_view(), name="cancel"),
    path("<int:order_id>/history/", api.HistoryView.as_view(), name="history"),
    path("<int:order_id>/pack/", api.StepView.as_view(to="packed"), name="pack"),
    path("<int:order_id>/ship/", api.StepView.as_view(to="shipped"), name="ship"),
    path("<int:order_id>/deliver/", api.StepView.as_view(to="delivered"), name="deliver"),
    path("<int:order_id>/returns/", api.ReturnsView.as_view(), name="returns"),
    path("returns/<int:return_id>/approve/", api.ReturnStepView.as_view(act="approved"), name="return-approve"),
    path("returns/<int:return_id>/reject/", api.ReturnStepView.as_view(act="rejected"), name="return-reject"),
    path("returns/<int:return_id>/receive/", api.ReturnStepView.as_view(act="received"), name="return-receive"),
]
