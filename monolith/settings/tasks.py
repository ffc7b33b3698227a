"""Celery. Each unit consumes a queue of its own (P19); a broker that is down must not hold a request up (P12)."""

from __future__ import annotations

from typing import Any

from monolith.settings.base import env

CELERY_BROKER_URL = env("CELERY_BROKER_URL", default="redis://127.0.0.1:26390/2")
CELERY_TASK_DEFAULT_QUEUE = "monolith"
CELERY_TASK_ROUTES = {"strangler.*": {"queue": "strangler"}}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"

_TRANSPORT: dict[str, dict[str, Any]] = {
    "redis": {
        "visibility_timeout": 60,  # after a worker was killed its unfinished tasks are seen again
        "socket_connect_timeout": 1,
        "socket_timeout": 5,
        "socket_keepalive": True,
    },
}
CELERY_BROKER_TRANSPORT_OPTIONS = _TRANSPORT.get(CELERY_BROKER_URL.split(":", 1)[0].removesuffix("s"), {})
CELERY_TASK_PUBLISH_RETRY = False

CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "strangler.tick": {"task": "strangler.tick", "schedule": 1.0, "options": {"expires": 5}},
    "orders.resume_intents": {"task": "orders.resume_intents", "schedule": 2.0, "options": {"expires": 10}},
    "orders.settle": {"task": "orders.settle", "schedule": 5.0, "options": {"expires": 10}},
    "products.expire_reservations": {"task": "products.expire_reservations", "schedule": 30.0, "options": {"expires": 60}},
    "orders.forget_carts": {"task": "orders.forget_carts", "schedule": 24 * 3600.0},
    "shell.expire_unpaid": {"task": "shell.expire_unpaid", "schedule": 24 * 3600.0},
    "payments.resolve_processing": {"task": "payments.resolve_processing", "schedule": 5.0, "options": {"expires": 10}},
}
