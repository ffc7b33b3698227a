from django.apps import AppConfig


class ProductsConfig(AppConfig):
    name = "monolith.products"
    label = "products"
