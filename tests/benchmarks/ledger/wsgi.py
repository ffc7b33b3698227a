"""The ledger's service for gunicorn: the service contract and nothing else."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.ledger.settings")
application = get_wsgi_application()
