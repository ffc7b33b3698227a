"""The shop: a modular monolith of five bounded contexts and a shell."""

from monolith.celery import app as celery_app  # shared tasks bind to it

__all__ = ["celery_app"]
