"""The bank's worker as a process: what Celery loads. Its broker, database and side come from the environment."""

import os

import django
from celery import Celery

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integration.sync.settings"
django.setup()
app = Celery("bank", set_as_current=True)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
