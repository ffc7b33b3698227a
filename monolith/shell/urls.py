from django.contrib.auth.views import LogoutView
from django.urls import include, path

from monolith.shell import views

app_name = "shell"
urlpatterns = [
    path("", views.product_list, name="products"),
    path("products/<str:sku>/", views.product_detail, name="product"),
    path("currency/", views.choose_currency, name="currency"),
    path("cart/", views.cart_show, name="cart"),
    path("cart/add/", views.cart_add, name="cart-add"),
    path("cart/change/", views.cart_change, name="cart-change"),
    path("checkout/begin/", views.checkout_begin, name="checkout-begin"),
    path("checkout/", views.checkout, name="checkout"),
    path("orders/", views.order_list, name="orders"),
    path("orders/<str:number>/", views.order_detail, name="order"),
    path("orders/<str:number>/cancel/", views.order_cancel, name="order-cancel"),
    path("orders/<str:number>/return/", views.order_return, name="order-return"),
    path("account/", include("monolith.shell.account_urls")),
    path("login/", views.ShopLoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
