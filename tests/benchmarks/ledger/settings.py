"""Both sides of the ledger. ``LEDGER_SIDE`` says which; ``DESTINATION_URL`` gives whoever sets both up the other database too."""

import environ

env = environ.Env()

SECRET_KEY = "only for benchmarks, never for anything else"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "strangler.replica.urls"
ALLOWED_HOSTS = ["127.0.0.1"]
MIDDLEWARE: list[str] = []
DATABASES = {"default": {**env.db_url("DATABASE_URL"), "CONN_MAX_AGE": None}}
if "DESTINATION_URL" in env.ENVIRON:
    DATABASES["destination"] = {**env.db_url("DESTINATION_URL"), "CONN_MAX_AGE": None}
INSTALLED_APPS = ["strangler", "strangler.replica", "tests.benchmarks.ledger", "tests.benchmarks.sync.bare"]
STRANGLER = {
    "ESTATE": env.str("LEDGER_ESTATE"),
    "SIDE": env.str("LEDGER_SIDE", default="monolith"),
    "CONTEXT": env.str("LEDGER_CONTEXT", default=""),
    "REDIS_URL": env.str("REDIS_URL"),
    "TOKEN": "a token that is long enough for the benchmarks",
}

# As the shop has them.
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL")
CELERY_TASK_ROUTES = {"strangler.*": {"queue": "strangler"}}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
