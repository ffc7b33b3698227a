"""The smallest Django project that has the product in it, and an app ``bank`` with tables of every kind to move.

Also the settings of the service process in the end-to-end test (``SYNC_SIDE=service``).
"""

from pathlib import Path

import environ

env = environ.Env()
HERE = Path(__file__).resolve().parent

SECRET_KEY = "only for tests, never for anything else"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "strangler.replica.urls"
ALLOWED_HOSTS = ["*"]
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://dev:dev@127.0.0.1:54999/sync")}
INSTALLED_APPS = ["strangler", "strangler.replica", "tests.integration.sync.people", "tests.integration.sync.bank"]
MIDDLEWARE: list[str] = []
STRANGLER = {
    "ESTATE": env.str("SYNC_ESTATE", default=str(HERE / "strangler.toml")),
    "SIDE": env.str("SYNC_SIDE", default="monolith"),
    "CONTEXT": env.str("SYNC_CONTEXT", default=""),
    "REDIS_URL": env.str("REDIS_URL", default="redis://127.0.0.1:63999/4"),
    "TOKEN": "a token that is long enough for the tests",
    "DATABASE": "default",
}
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="memory://")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
