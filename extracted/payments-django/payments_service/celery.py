"""The Celery application of the service: ``celery -A payments_service.celery worker -Q payments,strangler.payments``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payments_service.settings")

app = Celery("payments")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.set_default()
app.autodiscover_tasks()
