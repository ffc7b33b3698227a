"""What gunicorn and Celery load. ``FAULTS_WITHOUT`` takes a rule of the engine out, to show that a run can fail."""

import logging
import os
from contextlib import ExitStack

import django
from celery import Celery
from django.core.wsgi import get_wsgi_application

from tests.integration.sync.taken_out import taken_out

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.faults.sync.settings"
django.setup()
logging.getLogger("strangler").setLevel(logging.ERROR)  # that a round failed is what is wanted here
without = ExitStack()  # for as long as the process lives
if os.environ.get("FAULTS_WITHOUT"):
    without.enter_context(taken_out(os.environ["FAULTS_WITHOUT"]))
application = get_wsgi_application()
app = Celery("faults")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
