"""The settings of the sync tests' project for real processes: Celery, and both databases for the one that judges."""

from pathlib import Path

from tests.integration.sync.settings import *  # noqa: F403
from tests.integration.sync.settings import DATABASES, STRANGLER, env

STRANGLER = {**STRANGLER, "ESTATE": Path(env.str("FAULTS_ESTATE")), "DATABASE": env.str("FAULTS_DATABASE", default="default")}
for alias in ("source", "destination"):
    if f"FAULTS_{alias.upper()}" in env.ENVIRON:
        DATABASES[alias] = env.db_url(f"FAULTS_{alias.upper()}")
SILENCED_SYSTEM_CHECKS = ["strangler.W031"]

CELERY_BROKER_URL = STRANGLER["REDIS_URL"]
CELERY_TASK_DEFAULT_QUEUE = "other"
CELERY_TASK_ROUTES = {"strangler.*": {"queue": "strangler"}}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60, "socket_connect_timeout": 1, "socket_timeout": 5}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BEAT_SCHEDULE = {"strangler.tick": {"task": "strangler.tick", "schedule": 1.0, "options": {"expires": 5}}}
