"""The bank's service as a process: what gunicorn loads. Its database and side come from the environment."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integration.sync.settings"
application = get_wsgi_application()
