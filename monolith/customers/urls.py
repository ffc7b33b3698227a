from django.urls import path

from monolith.customers import api

app_name = "customers"
urlpatterns = [
    path("me/", api.ProfileView.as_view(), name="profile"),
    path("me/favourites/<int:product_id>/", api.FavouriteView.as_view(), name="favourite"),
    path("me/addresses/", api.AddressesView.as_view(), name="addresses"),
    path("me/addresses/<int:address_id>/", api.AddressView.as_view(), name="address"),
]
