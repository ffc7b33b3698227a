from django.urls import path

from monolith.products import api

app_name = "products"
urlpatterns = [
    path("search/", api.SearchView.as_view(), name="search"),
    path("categories/", api.CategoriesView.as_view(), name="categories"),
    path("currencies/", api.CurrenciesView.as_view(), name="currencies"),
    path("", api.ProductsView.as_view(), name="products"),
    path("<str:sku>/", api.ProductView.as_view(), name="product"),
]
