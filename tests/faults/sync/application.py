"""What gunicorn and Celery load. ``FAULTS_WITHOUT`` takes a rule of the engine out, to show that a run can fail."""

import logging
import os

import django
from celery import Celery
from django.core.wsgi import get_wsgi_application

from tests.integration.sync.taken_out import taken_out

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.faults.sync.settings"
django.setup()
logging.getLogger("strangler").setLevel(logging.ERROR)  # that a round failed is what is wanted here
if os.environ.get("FAULTS_WITHOUT"):
    taken_out(os.environ["FAULTS_WITHOUT"]).__enter__()
application = get_wsgi_application()
app = Celery("faults")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
